import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { SOFT_TOKENS_TENSOR } from "../../runtime/soft_tokens/read.ts";
import { TrainingError } from "../../training/errors.ts";
import { optimise, type OptimiseRequest, type Progress } from "../../training/optimise.ts";
import { freshProgress } from "../../training/saved_progress.ts";
import { DEFAULT_SETTINGS } from "../../training/settings.ts";
import type { SoftStep } from "../../training/soft_step.ts";
import { steadyClock } from "./_run.ts";

/** The square of each number: its gradient is twice the number, and 0 is the goal. */
const bowl: SoftStep = (_example, tensors) => {
  const values = tensors[SOFT_TOKENS_TENSOR] ?? new Float32Array();
  return Promise.resolve({
    loss: values.reduce((sum, value) => sum + value * value, 0),
    attention: new Float32Array(),
    gradient: values.map((value) => 2 * value),
    adapterGradients: {},
  });
};

function request(changes: Partial<OptimiseRequest> = {}): OptimiseRequest & { saves: Progress[] } {
  const saves: Progress[] = [];
  return {
    settings: { ...DEFAULT_SETTINGS, batch: 2, epochs: 10, rate: 0.1, validate: 0 },
    run: bowl,
    heads: { heads: 1, kvHeads: 1, headDim: 2 },
    layers: 1,
    train: ["a", "b", "c", "d"],
    validation: [],
    load: () =>
      Promise.resolve({
        target: {
          prompt: new Int32Array(2),
          response: new Int32Array(1),
          attention: new Float32Array(2),
        },
        past: [],
      }),
    start: freshProgress({ [SOFT_TOKENS_TENSOR]: Float32Array.of(1, -2, 3) }),
    saveEvery: 1000,
    validateEvery: 1000,
    save: (progress) => {
      saves.push(structuredClone(progress));
      return Promise.resolve();
    },
    wayOut: { text: "do better", options: [] },
    now: steadyClock(),
    saves,
    ...changes,
  };
}

Deno.test("optimise() lowers the loss and reports every step", async () => {
  const steps: number[] = [];
  const losses: number[] = [];
  const { saves, ...rest } = request();
  const done = await optimise({
    ...rest,
    onStep({ step, steps: all, loss, examplesPerSecond }) {
      steps.push(step);
      losses.push(loss);
      assertEquals([all, examplesPerSecond], [20, 2]);
    },
  });
  assertEquals(steps, Array.from({ length: 20 }, (_, index) => index + 1));
  assertEquals([losses[0], done.lossStart], [14, 14]);
  assert((losses.at(-1) ?? 14) < 6, `${losses.at(-1)}`);
  assertEquals(saves.map(({ step }) => step), [20]);
  assertEquals(rest.start.tensors, { [SOFT_TOKENS_TENSOR]: Float32Array.of(1, -2, 3) });
});

Deno.test("optimise() goes on from every saved state to the same bits", async () => {
  const { saves, ...rest } = request({ saveEvery: 3 });
  const done = await optimise(rest);
  assertEquals(saves.map(({ step }) => step), [3, 6, 9, 12, 15, 18, 20]);
  for (const start of saves) assertEquals(await optimise({ ...rest, start }), done);
});

Deno.test("optimise() takes each gradient of a batch by its share", async () => {
  const loads: string[] = [];
  const { load, ...rest } = request();
  const settings = { ...rest.settings, batch: 4, epochs: 1, clip: Infinity };
  const norms: number[] = [];
  await optimise({
    ...rest,
    settings,
    load(key) {
      loads.push(key);
      return load(key);
    },
    onStep: ({ gradientNorm }) => void norms.push(gradientNorm),
  });
  assertEquals(loads.toSorted(), ["a", "b", "c", "d"]);
  assertAlmostEquals(norms[0] ?? 0, 2 * Math.sqrt(14), 1e-5);
});

Deno.test("optimise() holds no example while it reads the next", async () => {
  const { load, ...rest } = request();
  let held = 0;
  let most = 0;
  await optimise({
    ...rest,
    settings: { ...rest.settings, batch: 4 },
    load(key) {
      held++;
      most = Math.max(most, held);
      return load(key);
    },
    run(...given) {
      held--;
      return bowl(...given);
    },
  });
  assertEquals(most, 1);
});

/** A bowl whose loss becomes `bad` when it is visited for the n-th time. */
function breaking(visit: number, bad: (loss: number) => number): SoftStep {
  let visits = 0;
  return async (...given) => {
    const outputs = await bowl(...given);
    return ++visits < visit ? outputs : { ...outputs, loss: bad(outputs.loss) };
  };
}

for (
  const [name, bad] of [
    ["NaN", () => NaN],
    ["infinite", () => Infinity],
    ["a thousand times larger", (loss: number) => 1000 * loss],
  ] as const
) {
  Deno.test(`optimise() stops at a loss that is ${name} and saves the last sound state`, async () => {
    const states: Progress[] = [];
    const every = request({ saveEvery: 1 });
    await optimise({
      ...every,
      save: (progress) => Promise.resolve(void states.push(progress)),
    });
    const { saves, ...rest } = request({ run: breaking(9, bad) });
    const error = await assertRejects(() => optimise(rest), TrainingError);
    // Step 5 found the loss of the tensors that step 4 made; those of step 3 were still sound.
    assert(
      /^Cannot go on training: the loss was .* at step 5, .* step 3 is saved; do better$/
        .test(error.message),
      error.message,
    );
    assertEquals(saves, states.filter(({ step }) => step === 3));
  });
}

Deno.test("optimise() goes on where short prompts lose many times what long ones do", async () => {
  // The first examples happen to be long; then one in two is short.
  let visits = 0;
  const { saves, ...rest } = request({
    run: async (...given) => {
      const outputs = await bowl(...given);
      visits++;
      return { ...outputs, loss: visits > 4 && visits % 2 === 0 ? 25 : 1 };
    },
  });
  const done = await optimise({ ...rest, settings: { ...rest.settings, epochs: 100 } });
  assertEquals([done.step, saves.length], [200, 1]);
  assert(done.smoothed > 4 && done.lowest > 4, `${done.smoothed}, ${done.lowest}`);
});

Deno.test("optimise() stops where the mean loss has grown to four times its lowest", async () => {
  let visits = 0;
  const { saves, ...rest } = request({
    run: async (...given) => ({ ...await bowl(...given), loss: ++visits > 200 ? 5 : 1 }),
  });
  const settings = { ...rest.settings, epochs: 200 };
  const error = await assertRejects(() => optimise({ ...rest, settings }), TrainingError);
  const step = Number(/at step (\d+)/.exec(error.message)?.[1]);
  // 1 + 4 · (1 − 0.95^n) is above 4 from n = 28 on.
  assertEquals([step, saves.map((progress) => progress.step)], [128, [126]]);
});

Deno.test("optimise() stops at a gradient that is not a number", async () => {
  const { saves, ...rest } = request({
    run: async (...given) => {
      const outputs = await bowl(...given);
      return { ...outputs, gradient: outputs.gradient.fill(NaN) };
    },
  });
  const error = await assertRejects(() => optimise(rest), TrainingError);
  assert(error.message.includes("at step 1, its gradient's norm NaN"), error.message);
  assertEquals(saves, [rest.start]);
});

Deno.test("optimise() saves where it is when an example cannot be read", async () => {
  let reads = 0;
  const { saves, load, ...rest } = request();
  const broken = new TrainingError("Cannot read it");
  const failing = (key: string) => ++reads < 8 ? load(key) : Promise.reject(broken);
  const error = await assertRejects(() => optimise({ ...rest, load: failing }), TrainingError);
  assertEquals(error, broken);
  assertEquals(saves.map(({ step }) => step), [3]);
  assertEquals(
    await optimise({ ...rest, load, ...saves.map((start) => ({ start }))[0] }),
    await optimise({ ...rest, load }),
  );
});
