import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fs from "node:fs";
import type { Place } from "../../../kernels/weight.ts";
import { type Blocks, quantiseBlocks } from "../../../runtime/weights/blocks.ts";
import { exactBlocks } from "../../../runtime/weights/exact_blocks.ts";
import { type FileWriter, writerTo } from "../../../runtime/weights/weight_writer.ts";
import { noise } from "../../_close.ts";
import { encodeType } from "../../_gguf_writer.ts";
import { withFolder } from "../../_temp_folder.ts";

function quantised(data: Float32Array, rows: number): Blocks {
  return quantiseBlocks(data, rows, 64);
}

function withOffsets(data: Float32Array, rows: number): Blocks {
  const bytes = encodeType({ name: "w", shape: [rows, 64], type: "Q4_1", data });
  return exactBlocks("Q4_1", bytes, rows, 64);
}

/** Calls with a writer, and gives what it wrote to a place. */
async function written<T>(use: (writer: FileWriter, read: (place: Place) => Uint8Array) => T) {
  let result: T | undefined;
  await withFolder((folder) => {
    const path = `${folder}/w.bin`;
    const file = fs.openSync(path, "w");
    try {
      result = use(
        writerTo(file, path),
        ({ offset, length }) => Deno.readFileSync(path).slice(offset, offset + length),
      );
    } finally {
      fs.closeSync(file);
    }
  });
  return result;
}

for (const [name, make] of Object.entries({ quantised, withOffsets })) {
  Deno.test(`writer.blocks() of pieces is what it is of the whole matrix, ${name}`, async () => {
    const rows = [3, 5, 1];
    const pieces = rows.map((count, index) => noise(count * 64, index + 1));
    const all = Float32Array.from(pieces.flatMap((piece) => [...piece]));
    await written((writer, read) => {
      const whole = writer.blocks(9, [make(all, 9)]);
      const apart = writer.blocks(9, pieces.map((piece, index) => make(piece, rows[index] ?? 0)));
      assertEquals([apart.rows, apart.columns, apart.bits], [9, 64, whole.bits]);
      for (const part of ["values", "scales", "zeroPoints", "offsets"] as const) {
        const [one, other] = [whole[part], apart[part]];
        assertEquals(one === undefined, other === undefined);
        if (!one || !other) continue;
        assertEquals(read(other), read(one), part);
        assertEquals(other.offset % 4096, 0);
      }
      const last = apart.offsets ?? apart.zeroPoints;
      assert(last);
      assertEquals(writer.bytes, last.offset + last.length);
    });
  });
}

Deno.test("writer.floats() of pieces is what it is of the whole matrix", async () => {
  await written((writer, read) => {
    const data = noise(6 * 5, 4);
    const weight = writer.floats(6, 5, [data.subarray(0, 10), data.subarray(10)]);
    assertEquals(read(weight.place), new Uint8Array(data.buffer));
  });
});

Deno.test("a writer refuses more or fewer rows than a matrix has", async () => {
  await written((writer) => {
    const piece = quantised(noise(2 * 64, 1), 2);
    for (const pieces of [[piece], [piece, piece]]) {
      assertThrows(() => writer.blocks(3, pieces), RangeError, "Cannot write 192 bytes of weights");
    }
    assertThrows(() => writer.blocks(3, []), TypeError, "without rows");
    assertThrows(() => writer.floats(2, 2, [new Float32Array(3)]), RangeError, "12 were given");
  });
});
