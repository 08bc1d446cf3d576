import type { HeadAllocationRequest, HeadAllocator } from "./policy.ts";

/**
 * Divides a budget by the best tokens of all heads, wherever their scores lie: see {@linkcode
 * bestOfHeads}.
 *
 * @param safe Tokens of each head that stay in any case, at least 1, of so many per head.
 */
export function sharedByBest(safe: (keep: number) => number): HeadAllocator {
  return Object.assign(
    (request: HeadAllocationRequest) => bestOfHeads(request, safe(request.keep)),
    { division: { kind: "best", safe } } as const,
  );
}

/** Divides a budget by how much heads hold, and not by their scores. */
export function sharedBySize(
  divide: (request: HeadAllocationRequest) => readonly number[],
): HeadAllocator {
  const own = (request: HeadAllocationRequest) => divide(request);
  return Object.assign(own, { division: { kind: "sizes" } } as const);
}

/**
 * Gives each head its `safe` best tokens and what is left to the best of all; ties go to the lower
 * head.
 *
 * @param safe Tokens of each head that stay in any case, at least 1.
 */
function bestOfHeads(
  { scores, keep }: HeadAllocationRequest,
  safe: number,
): readonly number[] {
  const held = scores.reduce((sum, { length }) => sum + length, 0);
  const counts = scores.map(({ length }) => Math.min(safe, length));
  const left = Math.min(Math.round(keep * scores.length), held) -
    counts.reduce((sum, count) => sum + count, 0);
  if (left <= 0) return counts;
  // Ascending, the safe ones off their ends.
  const rest = scores.map((ofHead, head) =>
    ofHead.toSorted().subarray(0, ofHead.length - (counts[head] ?? 0))
  );
  const all = new Float32Array(rest.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const ofHead of rest) {
    all.set(ofHead, at);
    at += ofHead.length;
  }
  const threshold = all.sort()[all.length - left] ?? -Infinity;
  const better = rest.map((ofHead) => countFrom(ofHead, (score) => score > threshold));
  let ties = left - better.reduce((sum, count) => sum + count, 0);
  return counts.map((count, head) => {
    const above = better[head] ?? 0;
    const equal = countFrom(rest[head], (score) => score >= threshold) - above;
    const taken = Math.min(equal, ties);
    ties -= taken;
    return count + above + taken;
  });
}

/** How many of ascending numbers hold a condition that all larger ones hold too. */
function countFrom(
  ascending: Float32Array = new Float32Array(),
  holds: (score: number) => boolean,
): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(ascending[middle] ?? 0)) high = middle;
    else low = middle + 1;
  }
  return ascending.length - low;
}
