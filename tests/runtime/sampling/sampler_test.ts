import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { CheckpointError, PromptError } from "../../../runtime/errors.ts";
import { createSampler, type SamplingOptions } from "../../../runtime/sampling/sampler.ts";

const NOTHING: ReadonlySet<number> = new Set();

/** How often each token is drawn. */
function frequencies(
  logits: readonly number[],
  options: SamplingOptions,
  seen: ReadonlySet<number> = NOTHING,
  draws = 4000,
): number[] {
  const sampler = createSampler(options);
  const counts = logits.map(() => 0);
  for (let draw = 0; draw < draws; draw++) {
    const id = sampler.next(Float32Array.from(logits), seen);
    counts[id] = (counts[id] ?? NaN) + 1;
  }
  return counts.map((count) => count / draws);
}

/** Within four standard deviations of 4,000 draws. */
function assertDrawn(actual: readonly number[], expected: readonly number[]): void {
  assertEquals(actual.length, expected.length);
  for (const [id, probability] of expected.entries()) {
    const deviation = Math.sqrt(probability * (1 - probability) / 4000);
    const difference = Math.abs((actual[id] ?? NaN) - probability);
    assert(difference <= 4 * deviation, `token ${id}: ${actual[id]}, expected ${probability}`);
  }
}

const logs = (...probabilities: number[]) => probabilities.map(Math.log);

Deno.test("createSampler() is greedy at temperature 0, which is the default", () => {
  assertEquals(createSampler().next(Float32Array.of(1, 3, 3, 2), NOTHING), 1);
  assertEquals(
    createSampler({ temperature: 0, topK: 3, seed: 5 }).next(Float32Array.of(1, 3), NOTHING),
    1,
  );
});

Deno.test("createSampler() draws with the model's probabilities at temperature 1", () => {
  assertDrawn(frequencies(logs(0.5, 0.2, 0.3), { temperature: 1 }), [0.5, 0.2, 0.3]);
});

Deno.test("createSampler() divides logits by the temperature", () => {
  assertDrawn(frequencies(logs(0.6, 0.3), { temperature: 0.5 }), [0.8, 0.2]);
  assertDrawn(frequencies(logs(0.64, 0.16), { temperature: 2 }), [2 / 3, 1 / 3]);
});

Deno.test("createSampler() keeps the topK most likely tokens", () => {
  assertDrawn(frequencies(logs(0.1, 0.5, 0.25, 0.15), { temperature: 1, topK: 2 }), [
    0,
    2 / 3,
    1 / 3,
    0,
  ]);
  assertDrawn(frequencies(logs(0.5, 0.5), { temperature: 1, topK: 9 }), [0.5, 0.5]);
});

Deno.test("createSampler() keeps the fewest tokens that reach topP", () => {
  const logits = logs(0.5, 0.3, 0.15, 0.05);
  assertDrawn(frequencies(logits, { temperature: 1, topP: 0.79 }), [5 / 8, 3 / 8, 0, 0]);
  assertDrawn(frequencies(logits, { temperature: 1, topP: 0.9 }), [10 / 19, 6 / 19, 3 / 19, 0]);
  assertDrawn(frequencies(logits, { temperature: 1, topP: 0.01 }), [1, 0, 0, 0]);
});

Deno.test("createSampler() keeps tokens at least minP times as likely as the best", () => {
  const logits = logs(0.5, 0.3, 0.15, 0.05);
  assertDrawn(frequencies(logits, { temperature: 1, minP: 0.5 }), [5 / 8, 3 / 8, 0, 0]);
  assertDrawn(frequencies(logits, { temperature: 1, minP: 1 }), [1, 0, 0, 0]);
});

Deno.test("createSampler() measures topP within topK, and minP against the best", () => {
  const options = { temperature: 1, topK: 3, topP: 0.85, minP: 0.5 };
  // Of topK's 0.4, 0.3 and 0.2, topP keeps all three (0.7 of 0.9 is not enough); minP drops 0.2.
  assertDrawn(frequencies(logs(0.4, 0.3, 0.19, 0.11), options), [4 / 7, 3 / 7, 0, 0]);
});

Deno.test("createSampler() makes seen tokens less likely, whatever the sign of their logit", () => {
  const next = (logits: number[], seen: number[]) =>
    createSampler({ repetitionPenalty: 2 }).next(Float32Array.from(logits), new Set(seen));
  assertEquals(next([4, 3], [0]), 1);
  assertEquals(next([-1, -1.5], [0]), 1);
  assertEquals(next([-1, -1.5], [0, 1]), 0);
  assertEquals(next([4, 3], [7]), 0);
});

Deno.test("createSampler() leaves the logits as they are", () => {
  const logits = Float32Array.of(1, 2, 3);
  createSampler({ temperature: 0.7, topK: 2, repetitionPenalty: 1.3 }).next(
    logits,
    new Set([0, 2]),
  );
  assertEquals(logits, Float32Array.of(1, 2, 3));
});

Deno.test("createSampler() draws the same for the same seed and otherwise for another", () => {
  const draw = (seed: number) => {
    const sampler = createSampler({ temperature: 1, seed });
    return Array.from({ length: 40 }, () => sampler.next(new Float32Array(50), NOTHING));
  };
  assertEquals(draw(7), draw(7));
  assert(draw(7).join() !== draw(8).join());
  assert(new Set(draw(0)).size > 10);
  assert(new Set(draw(-1)).size > 10);
});

Deno.test("createSampler() makes first draws that are spread evenly over small seeds", () => {
  const bins = new Array<number>(10).fill(0);
  let rises = 0;
  let last = -1;
  for (let seed = 0; seed < 1000; seed++) {
    const id = createSampler({ temperature: 1, seed }).next(new Float32Array(1000), NOTHING);
    const bin = Math.floor(id / 100);
    bins[bin] = (bins[bin] ?? NaN) + 1;
    if (id > last) rises++;
    last = id;
  }
  // Chi-squared with 9 degrees of freedom: 27.9 is exceeded once in a thousand.
  const chiSquared = bins.reduce((sum, count) => sum + (count - 100) ** 2 / 100, 0);
  assert(chiSquared < 27.9, `${bins}`);
  // Neighbouring seeds know nothing of each other: half of the steps go up.
  assert(Math.abs(rises - 500) < 60, `${rises} rises`);
});

Deno.test("createSampler() never draws what a filter forbids", () => {
  const settings = fc.record({
    temperature: fc.double({ min: 0.05, max: 3, noNaN: true }),
    topK: fc.nat(6),
    topP: fc.double({ min: 0.05, max: 1, noNaN: true }),
    minP: fc.double({ min: 0, max: 1, noNaN: true }),
    seed: fc.integer(),
  });
  const logits = fc.array(fc.integer({ min: -80, max: 80 }).map((value) => value / 4), {
    minLength: 1,
    maxLength: 12,
  });
  const check = fc.property(settings, logits, (options, values) => {
    const array = Float32Array.from(values);
    const id = createSampler(options).next(array, NOTHING);
    const better = array.filter((value) => value > (array[id] ?? NaN)).length;
    assert(id in array);
    if (options.topK > 0) assert(better < options.topK);
    const weight = Math.exp(((array[id] ?? NaN) - Math.max(...array)) / options.temperature);
    assert(weight >= options.minP * (1 - 1e-6));
  });
  fc.assert(check, { seed: 2, numRuns: 200 });
});

Deno.test("createSampler() survives extreme temperatures and forbidden tokens", () => {
  const logits = Float32Array.of(-Infinity, 5, 5.1, -Infinity);
  assertEquals(createSampler({ temperature: 1e-30 }).next(logits, NOTHING), 2);
  for (let seed = 0; seed < 20; seed++) {
    const id = createSampler({ temperature: 1e30, seed }).next(logits, NOTHING);
    assert(id === 1 || id === 2);
  }
});

Deno.test("createSampler() draws among infinite logits alone, and says where there is no number", () => {
  const mixed = Float32Array.of(1, Infinity, NaN, Infinity, -Infinity);
  for (
    const options of [{}, { topP: 0.9 }, { minP: 1 }, { topK: 9e15 }, { repetitionPenalty: 2 }]
  ) {
    const drawn = Array.from(
      { length: 20 },
      (_, seed) => createSampler({ temperature: 1, seed, ...options }).next(mixed, new Set([1, 3])),
    );
    assert(drawn.every((id) => id === 1 || id === 3), `${drawn}`);
  }
  assertEquals(createSampler().next(mixed, NOTHING), 1);
  for (const temperature of [0, 1]) {
    for (const bad of [Float32Array.of(NaN, NaN), Float32Array.of(-Infinity, NaN)]) {
      assertThrows(
        () => createSampler({ temperature }).next(bad, NOTHING),
        CheckpointError,
        "no logit of the model is a number above -Infinity",
      );
    }
  }
});

Deno.test("createSampler() refuses options out of range, naming the bound and the value", () => {
  const cases: [SamplingOptions, string][] = [
    [{ temperature: -1 }, "'temperature' must be at least 0, got -1"],
    [{ temperature: NaN }, "'temperature' must be a finite number, got NaN"],
    [{ temperature: Infinity }, "'temperature' must be a finite number, got Infinity"],
    [{ topK: 1.5 }, "'topK' must be an integer from 0, got 1.5"],
    [{ topK: -1 }, "'topK' must be an integer from 0, got -1"],
    [{ topP: 0 }, "'topP' must be above 0 and at most 1, got 0"],
    [{ topP: 1.1 }, "'topP' must be above 0 and at most 1, got 1.1"],
    [{ minP: -0.1 }, "'minP' must be from 0 to 1, got -0.1"],
    [{ repetitionPenalty: 0 }, "'repetitionPenalty' must be above 0, got 0"],
    [{ seed: 0.5 }, "'seed' must be an integer, got 0.5"],
  ];
  for (const [options, message] of cases) {
    assertThrows(() => createSampler(options), PromptError, `Cannot sample: ${message}`);
  }
});
