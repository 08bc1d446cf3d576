import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { pairedDifference } from "../../evaluation/paired.ts";
import { estimate } from "../../evaluation/statistics.ts";
import { noise } from "../_close.ts";

// One win in five: a draw has k wins with the chance of Bin(5, 1/5), summed up 0.33, 0.74, 0.94,
// 0.99, so that 2.5 % lie at 0 wins and 97.5 % at 3.
Deno.test("pairedDifference() has the interval that is worked out by hand", () => {
  const { scores, difference, outcomes } = pairedDifference(
    [[1, 0], [1, 1], [0, 0], [0.5, 0.5], [0, 0]],
    0,
  );
  assertEquals(scores, [0.5, 0.3]);
  assertEquals(outcomes, [1, 4, 0]);
  assertAlmostEquals(difference.mean ?? NaN, 0.2);
  assertAlmostEquals(difference.interval?.[0] ?? NaN, 0);
  assertAlmostEquals(difference.interval?.[1] ?? NaN, 0.6);
});

// Two pairs, +1 and -1: the means of four equally likely draws are -1, 0, 0 and 1.
Deno.test("pairedDifference() reaches from loss to win where samples disagree", () => {
  const { difference, outcomes } = pairedDifference([[1, 0], [0, 1]], 7);
  assertEquals(difference, { mean: 0, interval: [-1, 1], n: 2 });
  assertEquals(outcomes, [1, 0, 1]);
});

Deno.test("pairedDifference() tells sides apart that vary together", () => {
  const hard = Array.from(noise(60, 3), (one) => Math.abs(one));
  const pairs = hard.map((one, at) => [one + 0.02 + 0.01 * (at % 2), one] as const);
  const { difference } = pairedDifference(pairs, 1);
  const [low, high] = difference.interval ?? [NaN, NaN];
  assert(low > 0.02 && high < 0.03, `${low} to ${high}`);
  const alone = estimate(hard, 1).interval ?? [NaN, NaN];
  assert(alone[1] - alone[0] > 5 * (high - low), "the sides themselves vary far more");
});

Deno.test("pairedDifference() repeats itself, turns its sign, and knows no pairs", () => {
  const pairs = Array.from(noise(20, 9), (one, at) => [one, at % 3] as const);
  assertEquals(pairedDifference(pairs, 4), pairedDifference(pairs, 4));
  const turned = pairedDifference(pairs.map(([a, b]) => [b, a] as const), 4);
  assertAlmostEquals(
    turned.difference.mean ?? NaN,
    -(pairedDifference(pairs, 4).difference.mean ?? NaN),
  );
  assertEquals(pairedDifference([], 0).difference, { mean: null, interval: null, n: 0 });
});
