import { assert, assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { TrainingError } from "../../../training/errors.ts";
import { learningRate } from "../../../training/optimiser/learning_rate.ts";

Deno.test("learningRate() rises in a line and falls in a cosine", () => {
  const rate = learningRate({ peak: 2, warmup: 4, steps: 12, floor: 1 });
  assertEquals([0, 1, 2, 3, 4].map(rate), [0.5, 1, 1.5, 2, 2]);
  assertAlmostEquals(rate(6), 1 + (1 + Math.SQRT1_2) / 2, 1e-12);
  assertAlmostEquals(rate(8), 1.5, 1e-12);
  assertEquals([rate(12), rate(13), rate(1e9)], [1, 1, 1]);
});

Deno.test("learningRate() works without a warm-up and with nothing else", () => {
  const falls = learningRate({ peak: 0.01, steps: 100 });
  assertEquals(falls(0), 0.01);
  for (let step = 1; step < 100; step++) assert(falls(step) < falls(step - 1) && falls(step) > 0);
  const rises = learningRate({ peak: 1, warmup: 4, steps: 4 });
  assertEquals([0, 1, 2, 3, 4].map(rises), [0.25, 0.5, 0.75, 1, 0]);
});

Deno.test("learningRate() refuses options out of range", () => {
  for (
    const options of [
      { peak: 0, steps: 5 },
      { peak: NaN, steps: 5 },
      { peak: Infinity, steps: 5 },
      { peak: 1, steps: 0 },
      { peak: 1, steps: 2.5 },
      { peak: 1, steps: 5, warmup: 6 },
      { peak: 1, steps: 5, warmup: -1 },
      { peak: 1, steps: 5, floor: 2 },
      { peak: 1, steps: 5, floor: -1 },
    ]
  ) {
    const error = assertThrows(() => learningRate(options), TrainingError);
    assertMatch(error.message, /^Cannot plan the learning rate: .* must be .*, got /);
  }
});
