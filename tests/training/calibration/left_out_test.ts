import { assertAlmostEquals, assertEquals } from "@std/assert";
import { leftOutShares, summed } from "../../../training/calibration/left_out.ts";

/** Rises to its end within the first percents, and no further. */
const early = (end: number, percents: number) =>
  Float64Array.from({ length: 101 }, (_, at) => end * Math.min(1, at / percents));

Deno.test("leftOutShares() says what budgets of other prompts keep, by hand", () => {
  // The first head needs 20 % for all that it has, the second each of its tokens alike.
  const prompt = [early(1, 20), early(1, 100)];
  const shares = leftOutShares([prompt, prompt], 10);
  // 10 % each: half of the first, a tenth of the second. Divided: all 20 % to the first.
  assertAlmostEquals(shares?.even ?? NaN, (0.5 + 0.1) / 2, 1e-6);
  assertAlmostEquals(shares?.divided ?? NaN, 0.5, 1e-6);
});

Deno.test("leftOutShares() shows a loss where prompts have nothing in common", () => {
  const shares = leftOutShares([
    [early(1, 20), early(0, 100)],
    [early(0, 100), early(1, 20)],
  ], 10);
  assertAlmostEquals(shares?.even ?? NaN, 0.5, 1e-6);
  assertAlmostEquals(shares?.divided ?? NaN, 0, 1e-6);
});

Deno.test("leftOutShares() says nothing of a single prompt; summed() adds curve by curve", () => {
  assertEquals(leftOutShares([[early(1, 20)]], 10), undefined);
  assertEquals(summed([]), []);
  assertEquals(summed([[early(1, 20)], [early(2, 20)]]), [early(3, 20)]);
});
