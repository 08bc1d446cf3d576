import { assert, assertEquals } from "@std/assert";
import { createPrng } from "../../../policies/_random.ts";
import {
  copyNarrow,
  narrowBytes,
  narrowed,
  narrowSizes,
  releaseNarrow,
  widen,
} from "../../../runtime/cache/narrow_rows.ts";

/** Rows as keys are: some channels are far larger than the others. */
function someRows(rows: number, headDim: number, seed: number): Float32Array {
  const next = createPrng(seed, headDim);
  return Float32Array.from({ length: rows * headDim }, (_, at) => {
    const outlying = at % headDim === 3 ? 20 : 1;
    return (next() + next() + next() - 1.5) * outlying * (1 + Math.floor(at / headDim) % 5);
  });
}

function errorOf(exact: Float32Array, rounded: Float32Array): number {
  let [off, all] = [0, 0];
  exact.forEach((value, at) => {
    off += (value - (rounded[at] ?? 0)) ** 2;
    all += value ** 2;
  });
  return Math.sqrt(off / all);
}

function roundTrip(rows: Float32Array, headDim: number, precision: "fp16" | "int8"): Float32Array {
  const narrow = narrowed(rows, headDim, precision);
  const wide = new Float32Array(rows.length);
  widen(narrow, headDim, wide);
  releaseNarrow(narrow);
  assertEquals(narrowBytes(narrow), 0);
  return wide;
}

for (const headDim of [8, 16, 64, 80, 96, 128, 256]) {
  Deno.test(`rows of ${headDim} numbers are rounded, and a second time not at all`, () => {
    for (const seed of [1, 2, 3]) {
      const rows = someRows(40, headDim, seed);
      for (const [precision, most] of [["fp16", 5e-4], ["int8", 1.2e-2]] as const) {
        const once = roundTrip(rows, headDim, precision);
        const error = errorOf(rows, once);
        assert(error > 0 && error < most, `${precision}: ${error}`);
        assertEquals(roundTrip(once, headDim, precision), once);
      }
    }
  });
}

Deno.test("rows without length, the tiniest and the largest numbers keep their meaning", () => {
  const rows = new Float32Array(4 * 64);
  rows.fill(1e-30, 64, 128);
  rows.fill(3e30, 128, 192);
  rows[200] = -5;
  const narrow = roundTrip(rows, 64, "int8");
  assertEquals(narrow.subarray(0, 64), new Float32Array(64));
  assert(errorOf(rows.subarray(64, 128), narrow.subarray(64, 128)) < 1e-2);
  assert(errorOf(rows.subarray(128, 192), narrow.subarray(128, 192)) < 1e-2);
  assert(errorOf(rows.subarray(192), narrow.subarray(192)) < 1e-2);
  // 16 bits end at 65504: the largest stays finite.
  assertEquals(
    roundTrip(Float32Array.of(1e6, -1e6, 1, 0), 4, "fp16"),
    Float32Array.of(65504, -65504, 1, 0),
  );
});

Deno.test("narrow rows take half and about a quarter of the memory, copies as well", () => {
  const rows = someRows(10, 64, 4);
  const half = narrowed(rows, 64, "fp16");
  const byte = narrowed(rows, 64, "int8");
  assertEquals([narrowBytes(half), narrowBytes(byte)], [10 * 128, 10 * (64 + 4)]);
  assertEquals(narrowSizes("int8", 80), { numberBytes: 80, groups: 5 });
  const copy = copyNarrow(byte, 3, 64);
  const [first, all] = [new Float32Array(3 * 64), new Float32Array(rows.length)];
  widen(copy, 64, first);
  widen(byte, 64, all);
  assertEquals(first, all.subarray(0, 3 * 64));
});
