import { assert, assertEquals, assertRejects } from "@std/assert";
import { type AdapterShape, adapterTensors, PROJECTIONS } from "../../kernels/adapters.ts";
import {
  createSoftKernel,
  type SoftKernelOptions,
  type SoftStepInputs,
} from "../../kernels/soft_kernel.ts";
import type { StepModel } from "../../kernels/step_model.ts";
import type { Precision } from "../../runtime/weights/precisions.ts";
import { writeGguf } from "../_random_checkpoint.ts";
import { assertClose, noise } from "../_close.ts";
import { fixture, TINY } from "../_test_model.ts";
import { referenceLoss } from "./_reference_loss.ts";
import { describe, goldenStep, randomStep, relativeError } from "./_soft_case.ts";

const OPTIONS = { loss: "mse", average: "heads", threads: 1, judged: [0, 1, 2] } as const;

interface Checked {
  readonly model: StepModel;
  readonly options: SoftKernelOptions;
  readonly inputs: SoftStepInputs;
}

/**
 * Asserts that the loss is that of the attention, and that along each gradient the loss rises as
 * central differences say. The differences take the loss in double precision.
 */
async function assertStep({ model, options, inputs }: Checked): Promise<void> {
  await using kernel = await createSoftKernel(model, options);
  const lossAt = async (changed: SoftStepInputs) => {
    const { attention, loss } = await kernel.run({ ...changed, gradients: false, attention: true });
    const groups = options.groups ?? 1;
    const expected = referenceLoss({
      ...changed,
      headDim: model.headDim,
      heads: groups * model.heads,
      kvHeads: groups * model.kvHeads,
      layers: model.layers.length,
      loss: options.loss,
      average: options.average ?? "heads",
      normalise: options.normalise ?? "heads",
      leaveFirst: options.leaveFirst ?? 0,
      leaveLast: options.leaveLast ?? 0,
      attention,
    });
    assertClose([loss], [expected], { relative: 1e-4 }, "loss");
    return expected;
  };
  await lossAt(inputs);
  const { gradient, adapterGradients } = await kernel.run(inputs);
  const slope = async (
    name: string,
    values: Float32Array,
    along: Float32Array,
    change: (values: Float32Array) => SoftStepInputs,
  ) => {
    const length = Math.hypot(...along);
    // Two step sizes, extrapolated: steps that rounding does not drown are large.
    const step = 1e-3 * Math.hypot(...values) + 1e-3;
    const moved = (factor: number) =>
      lossAt(change(values.map((value, i) => value + factor * step * (along[i] ?? NaN) / length)));
    const [near, far] = [
      (await moved(1) - await moved(-1)) / 2,
      (await moved(2) - await moved(-2)) / 4,
    ];
    const expected = (4 * near - far) / 3 / step;
    // Steps may cross the points where another head has the largest number.
    const relative = options.average === "max" ? 5e-2 : 1e-2;
    assertClose([length], [expected], { relative }, `slope of ${name}`);
  };
  const { embeddings, adapters = {} } = inputs;
  await slope("embeddings", embeddings, gradient, (values) => ({ ...inputs, embeddings: values }));
  for (const [name, along] of Object.entries(adapterGradients)) {
    const values = adapters[name] ?? new Float32Array(0);
    assertEquals(along.length, values.length);
    if (along.every((value) => value === 0)) continue;
    await slope(
      name,
      values,
      along,
      (changed) => ({ ...inputs, adapters: { ...adapters, [name]: changed } }),
    );
  }
}

function randomAdapters(model: StepModel, shape: AdapterShape, scale = 0.3) {
  return Object.fromEntries(
    adapterTensors(model, shape).map(({ name, shape: [rows, columns] }, index) => [
      name,
      noise(rows * columns, index + 1).map((value) => scale * value),
    ]),
  );
}

for (const loss of ["mse", "kl"] as const) {
  for (const average of ["heads", "groups", "max"] as const) {
    Deno.test(`createSoftKernel() differentiates ${loss} over ${average}, with layer weights`, async () => {
      for (const name of TINY) {
        await using described = await describe(fixture(name));
        const { tokens, inputs } = goldenStep(name, described);
        await assertStep({
          model: described.model,
          options: { ...OPTIONS, tokens, loss, average },
          inputs: { ...inputs, layerWeights: Float32Array.of(0.5, 2, 0.25) },
        });
      }
    });
  }
}

Deno.test("createSoftKernel() differentiates maps that are normalised together", async () => {
  for (const name of ["tiny-llama", "tiny-qwen2"]) {
    await using described = await describe(fixture(name));
    const { tokens, inputs } = goldenStep(name, described);
    for (const average of ["heads", "max"] as const) {
      await assertStep({
        model: described.model,
        options: { ...OPTIONS, loss: "kl", normalise: "all", tokens, average, leaveFirst: 2 },
        inputs: { ...inputs, layerWeights: Float32Array.of(0.5, 2, 0.25) },
      });
    }
  }
});

for (const [leaveFirst, leaveLast] of [[2, 5], [3, 0], [0, 4]] as const) {
  Deno.test(`createSoftKernel() leaves out ${leaveFirst} tokens at the front and ${leaveLast} at the end`, async () => {
    await using described = await describe(fixture("tiny-llama"));
    const { tokens, inputs } = goldenStep("tiny-llama", described);
    for (const average of ["heads", "max"] as const) {
      await assertStep({
        model: described.model,
        options: { ...OPTIONS, loss: "kl", tokens, average, leaveFirst, leaveLast },
        inputs,
      });
    }
    const few = { ...OPTIONS, tokens, leaveFirst: inputs.target.length, leaveLast };
    await using kernel = await createSoftKernel(described.model, few);
    await assertRejects(() => kernel.run(inputs), TypeError, "tokens: at least");
  });
}

for (const loss of ["mse", "kl"] as const) {
  Deno.test(`createSoftKernel() differentiates ${loss} of groups of soft tokens`, async () => {
    await using described = await describe(fixture("tiny-llama"));
    const { model } = described;
    const [tokens, past, groups] = [6, 20, 3];
    const step = randomStep(described, { tokens, past });
    const target = noise(model.layers.length * groups * model.heads * past, 98)
      .map((value) => (1 + value) / past);
    for (const average of ["heads", "groups"] as const) {
      await assertStep({
        model,
        options: { ...OPTIONS, tokens, loss, average, groups },
        inputs: { ...step, target, layerWeights: Float32Array.of(0.5, 2, 0.25) },
      });
    }
    const attentionOf = async (groups: number, target: Float32Array) => {
      await using kernel = await createSoftKernel(model, { ...OPTIONS, tokens, groups });
      const { attention } = await kernel.run({ ...step, target, attention: true });
      return attention;
    };
    const apart = await attentionOf(groups, target);
    const plane = model.heads * past;
    const mean = Float32Array.from({ length: model.layers.length * plane }, (_, index) => {
      const from = Math.floor(index / plane) * groups * plane + index % plane;
      return ((apart[from] ?? NaN) + (apart[from + plane] ?? NaN) +
        (apart[from + 2 * plane] ?? NaN)) / 3;
    });
    assertClose(mean, await attentionOf(1, step.target), { absolute: 1e-6 });
    await assertRejects(
      () => createSoftKernel(model, { ...OPTIONS, tokens, groups: 4 }),
      TypeError,
      "6 soft tokens into 4 groups",
    );
  });
}

for (const precision of ["int8", "int4"] as const) {
  Deno.test(`createSoftKernel() differentiates through ${precision} weights`, async () => {
    for (const name of ["tiny-llama", "tiny-qwen2"]) {
      await using exact = await describe(fixture(name));
      await using rounded = await describe(fixture(name), precision);
      const { tokens, inputs, gradient } = goldenStep(name, exact);
      const options = { ...OPTIONS, tokens };
      await assertStep({ model: rounded.model, options, inputs });
      await using kernel = await createSoftKernel(rounded.model, options);
      const error = relativeError((await kernel.run(inputs)).gradient, gradient);
      assert(error > 1e-6 && error < 0.2, `relative error ${error}`);
    }
  });
}

for (const [type, precision] of [["Q4_1", "int4"], ["Q4_0", "int4"], ["Q8_0", "int8"]] as const) {
  Deno.test(`createSoftKernel() differentiates through ${type} weights kept in ${precision}`, async () => {
    await withGguf(type, async (path) => {
      const gradientIn = async (kept: Precision) => {
        await using described = await describe(path, kept);
        const step = randomStep(described, { tokens: 4, past: 30 });
        const judged = [...described.model.layers.keys()];
        const options = { ...OPTIONS, tokens: 4, loss: "kl", judged } as const;
        await assertStep({ model: described.model, options, inputs: step });
        await using kernel = await createSoftKernel(described.model, options);
        return (await kernel.run(step)).gradient;
      };
      const error = relativeError(await gradientIn(precision), await gradientIn("fp32"));
      assert(error < 1e-4, `relative error ${error}`);
    });
  });
}

async function withGguf(type: "Q4_0" | "Q4_1" | "Q8_0", use: (path: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/model.gguf`;
    await writeGguf(path, { hidden: 64, intermediate: 96 }, { type });
    await use(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const ALL: AdapterShape = { rank: 2, projections: PROJECTIONS };

for (
  const [name, precision] of [["tiny-llama", "fp32"], ["tiny-qwen3", "fp32"], [
    "tiny-qwen2",
    "int8",
  ]] as const
) {
  Deno.test(`createSoftKernel() differentiates every adapter of ${name} in ${precision}`, async () => {
    await using described = await describe(fixture(name), precision);
    const { model } = described;
    const { tokens, inputs } = goldenStep(name, described);
    const adapters = randomAdapters(model, ALL);
    const options = { ...OPTIONS, tokens, adapters: ALL };
    await assertStep({ model, options, inputs: { ...inputs, adapters } });
    await using kernel = await createSoftKernel(model, options);
    const { adapterGradients } = await kernel.run({ ...inputs, adapters });
    assertEquals(Object.keys(adapterGradients), Object.keys(adapters));
    const last = model.layers.length - 1;
    for (const [tensor, gradient] of Object.entries(adapterGradients)) {
      // Nothing that the loss sees comes after the last layer's queries and keys.
      const unseen = tensor.startsWith(`adapter.${last}.`) && !/\.[qk]\./.test(tensor);
      assertEquals(gradient.every((value) => value === 0), unseen, tensor);
    }
  });
}

Deno.test("createSoftKernel() with adapters of zeros is as without", async () => {
  await using described = await describe(fixture("tiny-mistral"));
  const { model } = described;
  const { tokens, inputs } = goldenStep("tiny-mistral", described);
  const shape: AdapterShape = { rank: 3, projections: ["v", "o", "up"] };
  const adapters = Object.fromEntries(
    Object.entries(randomAdapters(model, shape)).map((
      [name, values],
    ) => [name, name.endsWith(".b") ? values.fill(0) : values]),
  );
  await using plain = await createSoftKernel(model, { ...OPTIONS, tokens });
  await using adapted = await createSoftKernel(model, { ...OPTIONS, tokens, adapters: shape });
  const [expected, got] = [
    await plain.run({ ...inputs, attention: true }),
    await adapted.run({ ...inputs, adapters, attention: true }),
  ];
  assertEquals(got.attention, expected.attention);
  assertClose(got.gradient, expected.gradient, { absolute: 1e-9, relative: 1e-4 }, "gradient");
  await assertRejects(() => adapted.run(inputs), TypeError, "adapter.0.v.a: expected 64 × 3");
});

Deno.test("kernel.run() without gradients gives the same loss and nothing else", async () => {
  await using described = await describe(fixture("tiny-llama"));
  const { tokens, inputs } = goldenStep("tiny-llama", described);
  await using kernel = await createSoftKernel(described.model, { ...OPTIONS, tokens });
  const whole = await kernel.run(inputs);
  const forward = await kernel.run({ ...inputs, gradients: false });
  assertEquals(forward.loss, whole.loss);
  assertEquals(forward.gradient.length, 0);
  assertEquals(forward.adapterGradients, {});
  assertEquals(whole.attention.length, 0);
});

Deno.test("createSoftKernel() takes a cache in 16 bits", async () => {
  await using described = await describe(fixture("tiny-llama"));
  const { tokens, inputs, gradient } = goldenStep("tiny-llama", described);
  const half = inputs.past.map(({ keys, values }) => ({
    keys: new Float16Array(keys),
    // A view that does not start at its buffer's start.
    values: new Float16Array([7, ...values]).subarray(1),
  }));
  await using kernel = await createSoftKernel(described.model, {
    ...OPTIONS,
    tokens,
    past: "float16",
  });
  const error = relativeError((await kernel.run({ ...inputs, past: half })).gradient, gradient);
  assert(error > 1e-6 && error < 1e-2, `relative error ${error}`);
  await assertRejects(() => kernel.run(inputs), TypeError, "this kernel takes float16");
});

Deno.test("kernel.run() refuses inputs of wrong sizes, naming them", async () => {
  await using described = await describe(fixture("tiny-llama"));
  const { tokens, inputs } = goldenStep("tiny-llama", described);
  await using kernel = await createSoftKernel(described.model, { ...OPTIONS, tokens });
  const rejects = (changed: Partial<SoftStepInputs>, message: string) =>
    assertRejects(() => kernel.run({ ...inputs, ...changed }), TypeError, message);
  const short = new Float32Array(7);
  await rejects({ embeddings: short }, "embeddings of 7 numbers: expected 8 × 64");
  await rejects({ target: short }, "target of 7 numbers: expected 3 × 4 × ");
  await rejects({ layerWeights: short }, "layerWeights of 7 numbers: expected 3 × 1 × 1");
  await rejects({ rotary: [{ cos: short, sin: short }] }, "cos of 7 numbers: expected 8 × 8");
  await rejects({ past: inputs.past.slice(1) }, "past_keys.2 of 0 numbers");
  await rejects({ past: [] }, "a cache of 0 tokens");
});
