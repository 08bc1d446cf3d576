/** Inclusive ranges that the bytes of a character lie in, one for each byte. */
export type ByteRanges = readonly (readonly [number, number])[];

/** Last code points of one, two, three and four bytes. */
const LAST = [0x7f, 0x7ff, 0xffff, 0x10ffff];

/**
 * Writes a range of code points as sequences of ranges of bytes.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(utf8Ranges(0x41, 0x80), [[[0x41, 0x7f]], [[0xc2, 0xc2], [0x80, 0x80]]]);
 * ```
 */
export function utf8Ranges(from: number, to: number): ByteRanges[] {
  if (from > to) return [];
  const last = LAST.find((end) => from <= end) ?? 0;
  if (to > last) return [...utf8Ranges(from, last), ...utf8Ranges(last + 1, to)];
  // A range whose ends differ in a byte needs all of the bytes below that.
  for (let bits = 6; bits <= 18 && from > 0x7f; bits += 6) {
    const low = (1 << bits) - 1;
    if (from >> bits === to >> bits) continue;
    if ((from & low) !== 0) {
      return [...utf8Ranges(from, from | low), ...utf8Ranges((from | low) + 1, to)];
    }
    if ((to & low) !== low) {
      return [...utf8Ranges(from, (to & ~low) - 1), ...utf8Ranges(to & ~low, to)];
    }
  }
  const encoder = new TextEncoder();
  const high = encoder.encode(String.fromCodePoint(to));
  return [
    Array.from(
      encoder.encode(String.fromCodePoint(from)),
      (byte, index) => [byte, high[index] ?? byte] as const,
    ),
  ];
}
