/** Length from which Python's `difflib` passes over popular characters. */
const LONG = 200;

/**
 * How alike two texts are: twice the characters in matching blocks over all characters, as Python's
 * `difflib` and with it `fuzzywuzzy` finds the blocks. Of the second text, characters that make up
 * more than 1 % of 200 or more begin no block.
 *
 * @returns From 0 to 1, rounded to hundredths as `fuzz.ratio` is.
 *
 * @example
 * ```ts
 * import { similarity } from "./similarity.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(similarity("return x + 1", "return x - 1"), 0.92);
 * ```
 */
export function similarity(first: string, second: string): number {
  if (first === second) return 1;
  const [a, b] = [Array.from(first), Array.from(second)];
  const places = placesOf(b);
  let matched = 0;
  const left: [number, number, number, number][] = [[0, a.length, 0, b.length]];
  for (let range = left.pop(); range; range = left.pop()) {
    const [from, to, otherFrom, otherTo] = range;
    const [start, otherStart, size] = longestBlock(a, b, places, range);
    if (size === 0) continue;
    matched += size;
    left.push([from, start, otherFrom, otherStart]);
    left.push([start + size, to, otherStart + size, otherTo]);
  }
  return roundHalfToEven(200 * matched / (a.length + b.length)) / 100;
}

/** Python's rounding. */
function roundHalfToEven(value: number): number {
  const down = Math.floor(value);
  return value - down === 0.5 ? down + down % 2 : Math.round(value);
}

function placesOf(text: readonly string[]): ReadonlyMap<string, readonly number[]> {
  const places = Map.groupBy(text.keys(), (at) => text[at] ?? "");
  if (text.length < LONG) return places;
  const popular = Math.floor(text.length / 100) + 1;
  return new Map([...places].filter(([, found]) => found.length <= popular));
}

/** The first of the longest blocks that two ranges have in common. */
function longestBlock(
  a: readonly string[],
  b: readonly string[],
  places: ReadonlyMap<string, readonly number[]>,
  [from, to, otherFrom, otherTo]: readonly [number, number, number, number],
): readonly [start: number, otherStart: number, size: number] {
  let [start, otherStart, size] = [from, otherFrom, 0];
  let runs = new Map<number, number>();
  for (let i = from; i < to; i++) {
    const next = new Map<number, number>();
    for (const j of places.get(a[i] ?? "") ?? []) {
      if (j < otherFrom || j >= otherTo) continue;
      const run = (runs.get(j - 1) ?? 0) + 1;
      next.set(j, run);
      if (run > size) [start, otherStart, size] = [i - run + 1, j - run + 1, run];
    }
    runs = next;
  }
  // Popular characters may lengthen a block that others began.
  while (start > from && otherStart > otherFrom && a[start - 1] === b[otherStart - 1]) {
    [start, otherStart, size] = [start - 1, otherStart - 1, size + 1];
  }
  while (
    start + size < to && otherStart + size < otherTo && a[start + size] === b[otherStart + size]
  ) {
    size++;
  }
  return [start, otherStart, size];
}
