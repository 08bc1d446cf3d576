import { assertEquals } from "@std/assert";
import { exactShares } from "../../policies/_exact_shares.ts";

const wanted = (ideals: readonly number[], least = 1, most = 10) =>
  ideals.map((ideal) => ({ ideal, least, most }));

Deno.test("exactShares() gives the total, in proportion and within bounds", () => {
  assertEquals(exactShares(10, wanted([6, 4])), [6, 4]);
  // Twice as much as all should have: 12 and 8, of which 10 is the most; the other gets the rest.
  assertEquals(exactShares(18, wanted([6, 4])), [10, 8]);
  assertEquals(exactShares(5, wanted([6, 4])), [3, 2]);
  assertEquals(exactShares(12, wanted([10, 1], 3)), [9, 3]);
});

Deno.test("exactShares() gives what is left to the largest fractions, then to the first", () => {
  assertEquals(exactShares(9, wanted([2.2, 2.6, 4.2])), [2, 3, 4]);
  assertEquals(exactShares(5, wanted([1.25, 1.25, 1.25, 1.25])), [2, 1, 1, 1]);
  assertEquals(exactShares(3, wanted([1e-12, 0.5, 0.5])), [1, 1, 1]);
});
