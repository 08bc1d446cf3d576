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
  const rest = scores.map((ofHead, head) => {
    const worse = ofHead.length - (counts[head] ?? 0);
    return dividedAt(ofHead.slice(), worse).subarray(0, worse);
  });
  const all = new Float32Array(rest.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const ofHead of rest) {
    all.set(ofHead, at);
    at += ofHead.length;
  }
  const threshold = dividedAt(all, all.length - left)[all.length - left] ?? -Infinity;
  const better = rest.map((ofHead) => countOf(ofHead, (score) => score > threshold));
  let ties = left - better.reduce((sum, count) => sum + count, 0);
  return counts.map((count, head) => {
    const above = better[head] ?? 0;
    const equal = countOf(rest[head], (score) => score === threshold);
    const taken = Math.min(equal, ties);
    ties -= taken;
    return count + above + taken;
  });
}

function countOf(
  scores: Float32Array = new Float32Array(),
  holds: (score: number) => boolean,
): number {
  let count = 0;
  for (let at = 0; at < scores.length; at++) if (holds(scores[at] ?? 0)) count++;
  return count;
}

/**
 * Rearranges numbers so that those from a place on are the highest, the lowest of them first: a fifth of the
 * time that sorting all of them takes.
 */
function dividedAt(numbers: Float32Array, place: number): Float32Array {
  const at = (index: number) => numbers[index] ?? 0;
  let [first, last] = [0, numbers.length - 1];
  while (first < last) {
    const pivot = at((first + last) >> 1);
    let [low, high] = [first, last];
    while (low <= high) {
      while (at(low) < pivot) low++;
      while (at(high) > pivot) high--;
      if (low > high) break;
      const lower = at(high);
      numbers[high--] = at(low);
      numbers[low++] = lower;
    }
    if (place <= high) last = high;
    else if (place >= low) first = low;
    else break;
  }
  return numbers;
}
