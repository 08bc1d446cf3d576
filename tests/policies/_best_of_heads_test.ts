import { assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { sharedByBest } from "../../policies/_best_of_heads.ts";

const SCORES = fc.array(
  fc.array(fc.constantFrom(0, 0.25, 1, 3, Infinity).map(Math.fround), {
    minLength: 1,
    maxLength: 30,
  }),
  { minLength: 1, maxLength: 4 },
);

/** The same division, by sorting all tokens that no head has for itself. */
function bySorting(scores: readonly Float32Array[], keep: number, safe: number): number[] {
  const own = scores.map(({ length }) => Math.min(safe, length));
  const rest = scores.flatMap((ofHead, head) =>
    [...ofHead].sort((a, b) => b - a).slice(own[head]).map((score) => ({ score, head }))
  );
  const held = scores.reduce((sum, { length }) => sum + length, 0);
  const left = Math.min(keep * scores.length, held) - own.reduce((sum, count) => sum + count, 0);
  rest.sort((a, b) => a.score === b.score ? a.head - b.head : b.score > a.score ? 1 : -1);
  for (const { head } of rest.slice(0, Math.max(0, left))) own[head] = (own[head] ?? 0) + 1;
  return own;
}

Deno.test("sharedByBest() divides as sorting would, with equal and infinite scores too", async () => {
  await fc.assert(
    fc.asyncProperty(
      SCORES,
      fc.nat(20),
      fc.integer({ min: 1, max: 5 }),
      async (all, more, safe) => {
        const scores = all.map((ofHead) => Float32Array.from(ofHead));
        const before = scores.map((ofHead) => ofHead.slice());
        const keep = safe + more;
        assertEquals(
          await sharedByBest(() => safe)({ scores, keep }),
          bySorting(scores, keep, safe),
        );
        assertEquals(scores, before);
      },
    ),
    { seed: 7, numRuns: 300 },
  );
});
