import { assert, assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { TrainingError } from "../../../training/errors.ts";
import { type AdamOptions, createAdam } from "../../../training/optimiser/adam.ts";

/** Adam as PyTorch's documentation states it, in float64 and in another order of operations. */
function referenceAdam(
  start: number,
  gradients: readonly number[],
  { rate = 0.001, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: AdamOptions,
): number[] {
  let value = start;
  return gradients.map((_, last) => {
    const seen = gradients.slice(0, last + 1);
    const age = (index: number) => last - index;
    const m = seen.reduce((sum, g, i) => sum + (1 - beta1) * beta1 ** age(i) * g, 0);
    const v = seen.reduce((sum, g, i) => sum + (1 - beta2) * beta2 ** age(i) * g ** 2, 0);
    const mHat = m / (1 - beta1 ** (last + 1));
    const vHat = v / (1 - beta2 ** (last + 1));
    return value -= rate * mHat / (Math.sqrt(vHat) + epsilon);
  });
}

const wave = (step: number) => Math.sin(step * 1.7) * (1 + (step % 5)) * 1e-3;

Deno.test("createAdam() takes the two steps worked out by hand", () => {
  const parameters = { x: Float32Array.of(1, 1) };
  const adam = createAdam({ rate: 0.1, beta1: 0.5, beta2: 0.75, epsilon: 1e-12 });
  adam.step(parameters, { x: Float32Array.of(4, -4) });
  // The first step is the rate itself, against the sign.
  assertAlmostEquals(parameters.x[0] ?? NaN, 0.9, 1e-7);
  assertAlmostEquals(parameters.x[1] ?? NaN, 1.1, 1e-7);
  adam.step(parameters, { x: Float32Array.of(0, 4) });
  // m = 0.5·2 = 1, v = 0.75·4 = 3; m̂ = 1 / 0.75, v̂ = 3 / 0.4375.
  assertAlmostEquals(parameters.x[0] ?? NaN, 0.9 - 0.1 * (1 / 0.75) / Math.sqrt(3 / 0.4375), 1e-7);
  // m = -1 + 2 = 1, v = 3 + 4 = 7; m̂ = 1 / 0.75, v̂ = 7 / 0.4375 = 16.
  assertAlmostEquals(parameters.x[1] ?? NaN, 1.1 - 0.1 * (1 / 0.75) / 4, 1e-7);
  assertEquals(adam.steps, 2);
});

Deno.test("createAdam() follows the formula over hundreds of steps", () => {
  for (const options of [{}, { rate: 0.02, beta1: 0.8, beta2: 0.95, epsilon: 1e-4 }]) {
    const gradients = Array.from({ length: 300 }, (_, step) => Math.fround(wave(step)));
    const expected = referenceAdam(0.5, gradients, options);
    const parameters = { x: Float32Array.of(0.5) };
    const adam = createAdam(options);
    gradients.forEach((gradient, step) => {
      adam.step(parameters, { x: Float32Array.of(gradient) });
      assertAlmostEquals(parameters.x[0] ?? NaN, expected[step] ?? NaN, 3e-6);
    });
  }
});

Deno.test("createAdam() finds the minimum of a quadratic", () => {
  const parameters = { x: Float32Array.of(5, -3), y: Float32Array.of(1) };
  const adam = createAdam();
  for (let step = 0; step < 2000; step++) {
    const [a = 0, b = 0] = parameters.x;
    const [c = 0] = parameters.y;
    const gradients = { x: Float32Array.of(2 * (a - 1), 20 * (b - 2)), y: Float32Array.of(c + 4) };
    adam.step(parameters, gradients, 0.1 * (1 - step / 2000));
  }
  const found = [...parameters.x, ...parameters.y];
  [1, 2, -4].forEach((minimum, i) => assertAlmostEquals(found[i] ?? NaN, minimum, 1e-3));
});

Deno.test("createAdam() goes on from an exported state bit by bit", () => {
  const gradient = (step: number) => ({
    x: Float32Array.from({ length: 64 }, (_, i) => wave(step + i)),
    y: Float32Array.of(wave(step * 3)),
  });
  const start = () => ({ x: new Float32Array(64).fill(0.1), y: Float32Array.of(2) });
  const whole = start();
  const one = createAdam({ rate: 0.01 });
  for (let step = 0; step < 50; step++) one.step(whole, gradient(step));

  const parts = start();
  let adam = createAdam({ rate: 0.01 });
  for (let step = 0; step < 50; step++) {
    if (step % 7 === 3) {
      const state = adam.exportState();
      adam.step(start(), gradient(0));
      adam = createAdam({ rate: 0.01 });
      adam.importState(state);
      // What was handed over belongs to nobody else.
      state.first.x?.fill(99);
    }
    adam.step(parts, gradient(step));
  }
  assertEquals(parts, whole);
  assertEquals(adam.exportState(), one.exportState());
});

Deno.test("createAdam() leaves parameters without a gradient alone", () => {
  const parameters = { x: Float32Array.of(1), y: Float32Array.of(2) };
  createAdam().step(parameters, { x: Float32Array.of(1) });
  assertEquals(parameters.y, Float32Array.of(2));
  assert((parameters.x[0] ?? 1) < 1);
});

Deno.test("createAdam() refuses bad gradients and changes nothing then", () => {
  const parameters = { x: Float32Array.of(1, 2), y: Float32Array.of(3) };
  const adam = createAdam({ rate: 1 });
  const refused: [Record<string, Float32Array>, RegExp][] = [
    [{ y: Float32Array.of(1), x: Float32Array.of(1, NaN) }, /"x" is NaN at 1; lower the learning/],
    [{ y: Float32Array.of(1), x: Float32Array.of(Infinity, 0) }, /"x" is Infinity at 0/],
    [{ y: Float32Array.of(1), x: Float32Array.of(1) }, /"x" has 2 numbers and its gradient 1/],
    [{ y: Float32Array.of(1), z: Float32Array.of(1) }, /no parameter "z"/],
  ];
  for (const [gradients, message] of refused) {
    const error = assertThrows(() => adam.step(parameters, gradients), TrainingError);
    assertMatch(error.message, message);
  }
  assertThrows(() => adam.step(parameters, { y: Float32Array.of(1) }, NaN), TrainingError);
  assertEquals(parameters, { x: Float32Array.of(1, 2), y: Float32Array.of(3) });
  assertEquals(adam.exportState(), { step: 0, first: {}, second: {} });
  adam.step(parameters, { y: Float32Array.of(1) });
  const grown = { y: Float32Array.of(1, 2) };
  assertThrows(() => adam.step(grown, { y: Float32Array.of(1, 1) }), TrainingError);
});

Deno.test("createAdam() refuses options and states out of range", () => {
  for (
    const options of [{ beta1: 1 }, { beta1: -0.1 }, { beta2: NaN }, { beta2: 1 }, { epsilon: 0 }]
  ) {
    assertMatch(
      assertThrows(() => createAdam(options), TrainingError).message,
      /^Cannot train: \w+ must be /,
    );
  }
  const one = Float32Array.of(1);
  for (
    const state of [
      { step: -1, first: {}, second: {} },
      { step: 1, first: { x: one }, second: {} },
      { step: 1, first: { x: one }, second: { y: one } },
      { step: 1, first: { x: one }, second: { x: new Float32Array(2) } },
    ]
  ) assertThrows(() => createAdam().importState(state), TrainingError);
});
