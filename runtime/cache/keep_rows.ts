/**
 * Moves the kept entries of a token-major array to its front, in place.
 *
 * Heads that keep the same tokens, as one head always does, are moved as runs of whole rows.
 *
 * @param array `[tokens, heads, width]`; becomes `[kept, heads, width]` and a rest that means nothing.
 * @param kept Ascending token indices per head, all of the same length.
 * @param width Numbers per token and head.
 *
 * @example
 * ```ts
 * import { keepRows } from "./keep_rows.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const array = new Int32Array([0, 10, 1, 11, 2, 12]);
 * keepRows(array, [new Int32Array([0, 1]), new Int32Array([0, 2])], 1);
 * assertEquals(array.subarray(0, 4), new Int32Array([0, 10, 1, 12]));
 * ```
 */
export function keepRows(
  array: Float32Array | Int32Array,
  kept: readonly Int32Array[],
  width: number,
): void {
  const heads = kept.length;
  const [first] = kept;
  if (first !== undefined && keepTheSame(kept)) keepRuns(array, first, heads * width);
  else {kept.forEach((indices, head) =>
      keepHead(array, indices, head * width, heads * width, width)
    );}
}

function keepTheSame([first, ...rest]: readonly Int32Array[]): boolean {
  return first !== undefined &&
    rest.every((other) => first.every((index, entry) => other[entry] === index));
}

function keepRuns(array: Float32Array | Int32Array, indices: Int32Array, row: number): void {
  let entry = 0;
  while (entry < indices.length) {
    const start = indices[entry] ?? 0;
    let run = 1;
    while (indices[entry + run] === start + run) run++;
    if (start !== entry) array.copyWithin(entry * row, start * row, (start + run) * row);
    entry += run;
  }
}

/** Indices ascend, so an entry never overwrites one that is still to be moved. */
function keepHead(
  array: Float32Array | Int32Array,
  indices: Int32Array,
  offset: number,
  row: number,
  width: number,
): void {
  let to = offset;
  for (const index of indices) {
    const from = offset + index * row;
    if (from !== to) array.copyWithin(to, from, from + width);
    to += row;
  }
}
