/** Work that stops now and then, so that something else can be done in between. */
export type Sliced<T> = Generator<void, T>;

/** Lets others have their turn between two slices of work. */
export type Pause = () => Promise<void>;

/** Milliseconds of a slice: less than a decoding step takes. */
const SLICE = 8;

/** Does all of it now. */
export function atOnce<T>(work: Sliced<T>): T {
  for (;;) {
    const next = work.next();
    if (next.done) return next.value;
  }
}

/**
 * Does it in slices of some milliseconds.
 *
 * @param now Milliseconds since some moment.
 *
 * @example
 * ```ts
 * import { atOnce, inSlices } from "./slices.ts";
 * import { assertEquals } from "@std/assert";
 *
 * function* sum(numbers: readonly number[]) {
 *   let total = 0;
 *   for (const number of numbers) {
 *     total += number;
 *     yield;
 *   }
 *   return total;
 * }
 * let pauses = 0;
 * let time = 0;
 * const pause = () => Promise.resolve(void pauses++);
 * assertEquals(await inSlices(sum([1, 2, 3]), pause, () => time += 20), 6);
 * assertEquals([pauses, atOnce(sum([4, 5]))], [3, 9]);
 * ```
 */
export async function inSlices<T>(
  work: Sliced<T>,
  pause: Pause,
  now: () => number = () => performance.now(),
): Promise<T> {
  for (let begun = now();;) {
    const next = work.next();
    if (next.done) return next.value;
    if (now() - begun < SLICE) continue;
    await pause();
    begun = now();
  }
}
