import { assert, assertEquals, assertThrows } from "@std/assert";
import { GROUP_READERS, type QuantisedType } from "../../../runtime/checkpoint/block_groups.ts";
import { dequantise } from "../../../runtime/checkpoint/dequantise.ts";
import type { TensorType } from "../../../runtime/checkpoint/checkpoint.ts";
import { readGgufHeader } from "../../../runtime/checkpoint/gguf_header.ts";
import { ggmlTypeName } from "../../../runtime/checkpoint/ggml_types.ts";
import { readRows } from "../../../runtime/checkpoint/read_rows.ts";
import { bytesOf } from "../../../runtime/checkpoint/tensor_types.ts";
import { encodeType } from "../../_gguf_writer.ts";
import { fixture } from "../../_test_model.ts";

function decode(type: TensorType, bytes: readonly number[], count: number): number[] {
  const into = new Float32Array(count);
  dequantise(type, Uint8Array.from(bytes), into);
  return [...into];
}

Deno.test("dequantise() reads F32, F16 and BF16", () => {
  assertEquals(decode("F32", [0, 0, 0xc0, 0x3f, 0, 0, 0, 0x80], 2), [1.5, -0]);
  assertEquals(
    decode("F16", [0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0x00, 0x7c], 4),
    [1, -2, 2 ** -24, Infinity],
  );
  assertEquals(decode("BF16", [0x80, 0x3f, 0x40, 0xc0, 0x80, 0xff], 3), [1, -3, -Infinity]);
});

Deno.test("dequantise() reads a hand-made Q8_0 block", () => {
  const quants = Array.from({ length: 32 }, (_, i) => i * 8 - 128);
  const block = [0x00, 0x38, ...quants.map((q) => q & 0xff)];
  assertEquals(decode("Q8_0", block, 32), quants.map((q) => q * 0.5));
});

Deno.test("dequantise() reads a hand-made Q4_0 block, low halves first", () => {
  const bytes = Array.from({ length: 16 }, (_, i) => i | ((15 - i) << 4));
  const expected = [
    ...Array.from({ length: 16 }, (_, i) => 2 * (i - 8)),
    ...Array.from({ length: 16 }, (_, i) => 2 * (7 - i)),
  ];
  assertEquals(decode("Q4_0", [0x00, 0x40, ...bytes], 32), expected);
});

Deno.test("dequantise() reads hand-made Q4_1 blocks with their minimum", () => {
  const bytes = Array.from({ length: 16 }, (_, i) => i | (3 << 4));
  const expected = [
    ...Array.from({ length: 16 }, (_, i) => 0.25 * i - 3),
    ...Array.from({ length: 16 }, () => 0.25 * 3 - 3),
  ];
  const block = [0x00, 0x34, 0x00, 0xc2, ...bytes];
  const second = [0x00, 0x3c, 0x00, 0x00, ...bytes];
  assertEquals(decode("Q4_1", block, 32), expected);
  assertEquals(
    decode("Q4_1", [...block, ...second], 64).slice(32),
    expected.map((value) => 4 * (value + 3)),
  );
});

Deno.test("dequantise() reads back what the tests' own encoder wrote, within half a step", () => {
  const data = Float32Array.from({ length: 320 }, (_, i) => Math.sin(i * i) * (1 + i % 7));
  const steps = { F32: 0, F16: 2 ** -8, BF16: 2 ** -5, Q8_0: 0.035, Q4_0: 0.95, Q4_1: 0.5 };
  for (const type of ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1"] as const) {
    const into = new Float32Array(320);
    dequantise(type, encodeType({ name: "x", shape: [10, 32], type, data }), into);
    const worst = Math.max(...into.map((value, i) => Math.abs(value - (data[i] ?? NaN))));
    assertEquals(worst <= steps[type], true, `${type} differs by ${worst}`);
  }
});

Deno.test("dequantise() refuses bytes that do not fit the numbers", () => {
  assertThrows(
    () => dequantise("Q4_0", new Uint8Array(18), new Float32Array(31)),
    RangeError,
    "18 bytes of Q4_0 into 31 numbers: 32 numbers take 18 bytes",
  );
});

const BLOCKS = fixture("gguf/blocks.gguf");
const STORED = readGgufHeader(BLOCKS).tensors;
const QUANTISED = Object.keys(GROUP_READERS) as QuantisedType[];

for (const type of QUANTISED) {
  Deno.test(`dequantise() of ${type} gives what the Python package gguf gives, block by block`, () => {
    const [blocks, numbers] = ["blocks", "numbers"].map((what) => {
      const tensor = STORED.find(({ name }) => name === `${type}.${what}`);
      if (!tensor) throw new Error(`no ${type}.${what}`);
      const stored = { ...tensor, type: what === "blocks" ? type : "F32" } as const;
      return readRows({ ...stored, file: BLOCKS, bytes: bytesOf(stored.type, tensor.shape) ?? 0 });
    });
    assert((numbers?.length ?? 0) >= 256 && numbers?.some((value) => value !== 0));
    assertEquals(blocks, numbers);
  });
}

Deno.test("dequantise() is compared with the package for every format but plain floats", () => {
  const compared = STORED.flatMap(({ name, type }) =>
    name.endsWith(".blocks") ? [ggmlTypeName(type)] : []
  );
  assertEquals(compared.sort(), [...QUANTISED].sort());
});
