import { assert, assertEquals } from "@std/assert";
import type { SoftKernel, SoftStepInputs } from "../../kernels/soft_kernel.ts";
import type { ModelConfig } from "../../runtime/checkpoint/checkpoint.ts";
import { rotaryFrequencies } from "../../runtime/rotary/frequencies.ts";
import { openCheckpoint } from "../../runtime/checkpoint/open.ts";
import { softStep } from "../../training/soft_step.ts";
import type { TrainingSettings } from "../../training/settings.ts";
import { fixture } from "../_test_model.ts";
import { SMALL } from "./_run.ts";

const TARGET = {
  prompt: Int32Array.of(5, 6, 7),
  response: Int32Array.of(8),
  attention: new Float32Array(9),
};

/** What a step feeds the kernel with. */
async function inputsOf(
  changes: Partial<TrainingSettings>,
  configChanges: Partial<ModelConfig> = {},
): Promise<{ inputs: SoftStepInputs; config: ModelConfig }> {
  const given: SoftStepInputs[] = [];
  const kernel: SoftKernel = {
    run(inputs) {
      given.push(inputs);
      const none = new Float32Array(0);
      return Promise.resolve({ loss: 0, attention: none, gradient: none, adapterGradients: {} });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const { config: found } = await openCheckpoint(fixture("tiny-llama"));
  const config = { ...found, ...configChanges };
  const tensors = { soft_tokens: Float32Array.of(1), "adapter.0.q.a": Float32Array.of(2) };
  const run = softStep(kernel, config, { ...SMALL, ...changes });
  await run({ target: TARGET, past: [] }, tensors, { gradients: true, attention: false });
  const [inputs] = given;
  assert(inputs);
  return { inputs, config };
}

/** So many global layers, each behind one that slides. */
const kindsOf = (layers: number) =>
  Array.from({ length: 2 * layers }, (_, layer) => layer % 2 === 0 ? { window: 8 } : {});

Deno.test("softStep() weighs the global layers as asked, 1 on average", async () => {
  const weights = async (layerWeights: TrainingSettings["layerWeights"], layers: number) => {
    const { inputs } = await inputsOf({ layerWeights }, { layerKinds: kindsOf(layers) });
    return [...inputs.layerWeights ?? []];
  };
  assertEquals(await weights("uniform", 3), [1, 1, 1]);
  assertEquals(await weights("rising", 4), [0.25, 0.75, 1.25, 1.75]);
  assertEquals(await weights("falling", 4), [1.75, 1.25, 0.75, 0.25]);
  assertEquals(await weights("rising", 1), [1]);
});

Deno.test("softStep() puts the soft tokens right behind the prompt, adapters beside them", async () => {
  const { inputs, config } = await inputsOf({ tokens: 2 });
  assertEquals([...inputs.embeddings], [1]);
  assertEquals(inputs.adapters, { "adapter.0.q.a": Float32Array.of(2) });
  assertEquals(inputs.target, TARGET.attention);
  const half = config.headDim / 2;
  assertEquals(inputs.rotary[0]?.cos.length, 2 * half);
  const angles = [...rotaryFrequencies(config, 5)];
  assertEquals(angles.length, half);
  // The first frequency is 1: the first angle is the position.
  assertEquals(inputs.rotary[0]?.cos[0], Math.fround(Math.cos(3)));
  assertEquals(inputs.rotary[0]?.sin[half], Math.fround(Math.sin(4)));
});
