import { assert, assertEquals } from "@std/assert";
import { distancesOf } from "../../bench/compare/distances.ts";

/** Twelve tokens, two steps. */
const FIRST = Float32Array.from({ length: 24 }, (_, i) => i < 12 ? i : 23 - i);

Deno.test("distancesOf() is nothing where both agree", () => {
  assertEquals(distancesOf(FIRST, FIRST, 12), {
    bestTen: 0,
    sameTen: true,
    rms: 0,
    differing: [],
  });
});

Deno.test("distancesOf() looks at the first engine's ten best, and at all steps", () => {
  const second = FIRST.slice();
  second[11] = 10.75;
  second[0] = 5; // outside the ten best of the first, inside those of the second
  second[13] = 11.5; // the second step's second best is the best now
  const { bestTen, sameTen, rms, differing } = distancesOf(FIRST, second, 12);
  assertEquals(bestTen, 0.25);
  assertEquals(sameTen, false);
  assert(Math.abs(rms - Math.sqrt((0.25 ** 2 + 5 ** 2 + 1.5 ** 2) / 24)) < 1e-6, `${rms}`);
  assertEquals(differing, [{
    step: 1,
    first: 0,
    second: 1,
    firstMargin: 1,
    secondMargin: 0.5,
  }]);
});
