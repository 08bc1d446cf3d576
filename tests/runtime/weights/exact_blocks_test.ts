import { assertEquals } from "@std/assert";
import { dequantise } from "../../../runtime/checkpoint/dequantise.ts";
import { exactBits, exactBlocks, hasOffsets } from "../../../runtime/weights/exact_blocks.ts";
import { assertClose, noise } from "../../_close.ts";
import { encodeType } from "../../_gguf_writer.ts";
import { randomBlocks } from "../../_random_blocks.ts";
import { unpack } from "./_unpack.ts";

const FORMATS = [
  ["Q8_0", 8, false],
  ["Q4_0", 4, false],
  ["Q4_1", 4, true],
  ["Q5_0", 8, false],
  ["Q5_1", 8, true],
  ["Q4_K", 4, true],
  ["Q5_K", 8, true],
  ["IQ4_NL", 8, false],
  ["IQ4_XS", 8, false],
] as const;

for (const [type, bits, offsets] of FORMATS) {
  Deno.test(`exactBlocks() of ${type} are the numbers that it stores`, () => {
    const [rows, columns] = [5, 512];
    const bytes = randomBlocks(type, rows * columns, 0.5, 4);
    const blocks = exactBlocks(type, bytes, rows, columns);
    const expected = new Float32Array(rows * columns);
    dequantise(type, bytes, expected);
    // d·q + m is computed as d·(q − c) + (m + c·d), which rounds differently.
    assertClose(unpack(blocks), expected, { absolute: offsets ? 1e-6 : 0 });
    assertEquals([blocks.bits, blocks.zeroPoints], [bits, undefined]);
    assertEquals(blocks.offsets?.length, offsets ? rows * 16 : undefined);
    assertEquals([exactBits(type), hasOffsets(type)], [bits, offsets]);
  });
}

Deno.test("exactBlocks() reads bytes that begin in the middle of an array", () => {
  const bytes = encodeType({ name: "w", shape: [1, 32], type: "Q8_0", data: noise(32, 5) });
  const larger = new Uint8Array(bytes.length + 2);
  larger.set(bytes, 2);
  assertEquals(exactBlocks("Q8_0", larger.subarray(2), 1, 32), exactBlocks("Q8_0", bytes, 1, 32));
});
