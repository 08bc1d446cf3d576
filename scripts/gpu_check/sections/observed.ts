import type { DeviceTensor } from "../../../kernels/device/device.ts";
import { checkEvenAttention } from "../../../kernels/device/even_check.ts";
import { createEvenStepKernel } from "../../../kernels/device/even_step.ts";
import { openDevice } from "../../../kernels/device/open_device.ts";
import { createRaggedStepKernel } from "../../../kernels/device/ragged_step.ts";
import { createSentOnce } from "../../../kernels/device/sent_once.ts";
import type { StepRun } from "../../../kernels/device/step_kernel.ts";
import { rotaryRows } from "../../../kernels/rope.ts";
import { knownAdapter } from "../adapter_file.ts";
import { checkpointPath, describeModel } from "../open_model.ts";
import type { Section } from "../section.ts";

/** Tokens of the steps, as soft tokens and windows are. */
const TOKENS = [32, 64] as const;
const LAYERS = 4;
const TIMES = 4;

/** What a step of few tokens costs that is observed, by either graph, behind prompts of some lengths. */
export const observed: Section = {
  name: "observed",
  seconds: 60,
  least: 15,
  async run(options, report) {
    const { described } = await describeModel(options, await checkpointPath(options));
    const model = { ...described, layers: described.layers.slice(0, LAYERS) };
    const { fp16 } = await knownAdapter(options);
    const half = options.device === "webgpu" && fp16;
    const element = half ? "float16" : "float32";
    await using device = openDevice(options.device);
    const support = await checkEvenAttention(device, model, element);
    await using sentOnce = createSentOnce(device);
    await using even = await createEvenStepKernel(device, model, { half, support, sentOnce });
    await using ragged = await createRaggedStepKernel(device, model, { half, sentOnce });
    for (const held of [...options.lengths, ...options.long]) {
      for (const tokens of TOKENS) {
        using made = new DisposableStack();
        const layers: { keys: DeviceTensor; values: DeviceTensor; lengths: number[] }[] = [];
        const slots = [model.kvHeads, held + tokens, model.headDim];
        const lengths = new Array<number>(model.kvHeads).fill(held);
        while (layers.length < model.layers.length) {
          const keys = made.use(await device.zeros(slots, element));
          const values = made.use(await device.zeros(slots, element));
          layers.push({ keys, values, lengths });
        }
        const rotary = model.ropes.map(() =>
          rotaryRows(new Float32Array(model.headDim / 2), 0, tokens)
        );
        const timed = async (kernel: StepRun, observe: boolean): Promise<number> => {
          let begun = 0;
          for (let time = -1; time < TIMES; time++) {
            if (time === 0) begun = performance.now();
            const ids = new Array<number>(tokens).fill(5);
            const found = await kernel.run({ ids, rotary, rows: [0], layers, observe });
            // Behind the sums, which the device still works on, something is read back.
            if (observe) await device.zeros([1]).then((one) => one[Symbol.dispose]());
            for (const one of found.attentionSums) one[Symbol.dispose]();
          }
          await kernel.run({
            ids: [5],
            rotary: model.ropes.map(() => rotaryRows(new Float32Array(model.headDim / 2), 0, 1)),
            rows: [0],
            layers,
          });
          return (performance.now() - begun) / TIMES / model.layers.length;
        };
        report(`${tokens} tokens behind ${held}`, {
          "operator, ms a layer": await timed(even, false),
          "operator and observation": await timed(even, true),
          "mask": await timed(ragged, false),
          "mask and observation": await timed(ragged, true),
        });
      }
    }
  },
};
