import { assertAlmostEquals, assertThrows } from "@std/assert";
import { compareLogits } from "../../bench/quality.ts";

Deno.test("compareLogits averages the divergence by hand and counts equal first choices", () => {
  // Probabilities 1/2, 1/2 against 3/4, 1/4; then 3/4, 1/4 against 1/4, 3/4.
  const log = (...probabilities: number[]) => Float32Array.from(probabilities, Math.log);
  const { divergence, agreement } = compareLogits(
    log(0.5, 0.5, 0.75, 0.25),
    log(0.75, 0.25, 0.25, 0.75),
    2,
  );
  const first = 0.5 * Math.log(0.5 / 0.75) + 0.5 * Math.log(0.5 / 0.25);
  const second = 0.75 * Math.log(3) + 0.25 * Math.log(1 / 3);
  assertAlmostEquals(divergence, (first + second) / 2, 1e-6);
  assertAlmostEquals(agreement, 0.5);
});

Deno.test("compareLogits does not care for what is added to all logits of a position", () => {
  const { divergence, agreement } = compareLogits(
    Float32Array.of(1, 2, 300, 301),
    Float32Array.of(101, 102, 0, 1),
    2,
  );
  assertAlmostEquals(divergence, 0, 1e-6);
  assertAlmostEquals(agreement, 1);
});

Deno.test("compareLogits refuses logits of another size", () => {
  assertThrows(
    () => compareLogits(new Float32Array(4), new Float32Array(2), 2),
    Error,
    "Cannot compare 2 logits with 4",
  );
});
