import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { headBudgets } from "../../../training/calibration/head_budgets.ts";

/** A curve that rises by these slopes over equal parts of the percentages. */
function curve(...slopes: readonly number[]): Float64Array {
  const width = 100 / slopes.length;
  let kept = 0;
  return Float64Array.from({ length: 101 }, (_, at) => {
    if (at > 0) kept += slopes[Math.floor((at - 1) / width)] ?? 0;
    return kept;
  });
}

/** What heads drop where so many percent are dropped in all. */
const dropped = (budgets: Float32Array, heads: number, percent: number) =>
  Array.from(
    budgets.subarray((percent - 1) * heads, percent * heads),
    (one) => Math.round(one * 1000) / 1000,
  );

Deno.test("headBudgets() fills the steepest curves first, by hand", () => {
  const budgets = headBudgets([curve(8, 1), curve(4, 2)]);
  assertEquals(budgets.length, 99 * 2);
  // 50 of 200 percent kept: the first half of the first head.
  assertEquals(dropped(budgets, 2, 75), [0.5, 1]);
  // 100: the first half of the second as well. 150: its second half, which is steeper than that of the first.
  assertEquals(dropped(budgets, 2, 50), [0.5, 0.5]);
  assertEquals(dropped(budgets, 2, 25), [0.5, 0]);
});

Deno.test("headBudgets() replaces a curve that rises late by its hull", () => {
  // 0 and then 6 is 3 all along: more than 2, less than 4.
  const budgets = headBudgets([curve(0, 6), curve(4, 2)]);
  assertEquals(dropped(budgets, 2, 75), [1, 0.5]);
  assertEquals(dropped(budgets, 2, 25), [0, 0.5]);
});

Deno.test("headBudgets() gives out each budget to the last bit, whatever the curves are", () => {
  const heads = 7;
  const curves = Array.from({ length: heads }, (_, head) => {
    let kept = 0;
    return Float64Array.from(
      { length: 101 },
      (_, at) => kept += at === 0 ? 0 : Math.abs(Math.sin(at * (head + 1))),
    );
  });
  const budgets = headBudgets(curves);
  for (let percent = 1; percent <= 99; percent++) {
    const row = budgets.subarray((percent - 1) * heads, percent * heads);
    assertAlmostEquals(row.reduce((sum, one) => sum + one, 0), heads * percent / 100, 1e-5);
    assert(row.every((one) => one >= -1e-6 && one <= 1));
  }
});
