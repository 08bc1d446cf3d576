import { assertEquals, assertThrows } from "@std/assert";
import type { TensorLocation } from "../../../runtime/checkpoint/checkpoint.ts";
import { readRows } from "../../../runtime/checkpoint/read_rows.ts";
import { bytesOf } from "../../../runtime/checkpoint/tensor_types.ts";
import { CheckpointError } from "../../../runtime/errors.ts";
import { encodeType, type GgufType } from "../../_gguf_writer.ts";
import { withFolder } from "../../_temp_folder.ts";

const SKIPPED = 12;

/** Writes numbers after a few bytes of something else and says where they lie. */
function store(
  folder: string,
  type: GgufType,
  shape: readonly number[],
  data: Float32Array,
  interleavedHeads?: number,
): TensorLocation {
  const bytes = encodeType({ name: "x", shape, type, data });
  const file = `${folder}/${type}.bin`;
  const whole = new Uint8Array(SKIPPED + bytes.length).fill(0xee);
  whole.set(bytes, SKIPPED);
  Deno.writeFileSync(file, whole);
  const location = { name: "x", type, shape, file, offset: SKIPPED, bytes: bytes.length };
  return interleavedHeads === undefined ? location : { ...location, interleavedHeads };
}

function counting(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => i % 97 - 48);
}

Deno.test("readRows() reads any range of rows of any type as it reads the whole", async () => {
  await withFolder((folder) => {
    for (const type of ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1"] as const) {
      const tensor = store(folder, type, [6, 64], counting(384));
      assertEquals(tensor.bytes, bytesOf(type, tensor.shape));
      const whole = readRows(tensor);
      assertEquals(whole.length, 384);
      if (!type.startsWith("Q")) assertEquals(whole, counting(384));
      for (const [from, to] of [[0, 1], [2, 5], [5, 6], [3, 3], [0, 6]] as const) {
        assertEquals(readRows(tensor, { from, to }), whole.slice(from * 64, to * 64), type);
      }
    }
  });
});

Deno.test("readRows() reads a part of a vector whose blocks span several rows", async () => {
  await withFolder((folder) => {
    const tensor = store(folder, "Q8_0", [96], counting(96));
    const whole = readRows(tensor);
    for (const [from, to] of [[1, 2], [30, 70], [64, 96], [33, 95]] as const) {
      assertEquals(readRows(tensor, { from, to }), whole.slice(from, to));
    }
  });
});

Deno.test("readRows() reads tensors longer than its batches", async () => {
  await withFolder((folder) => {
    const data = counting(96 * 9000);
    for (const type of ["F32", "Q4_1"] as const) {
      const tensor = store(folder, type, [9000, 96], data);
      const whole = readRows(tensor);
      if (type === "F32") assertEquals(whole, data);
      for (const row of [0, 2730, 2731, 5461, 8999]) {
        assertEquals(
          readRows(tensor, { from: row, to: row + 1 }),
          whole.slice(row * 96, (row + 1) * 96),
          `${type} row ${row}`,
        );
      }
    }
  });
});

Deno.test("readRows() undoes the interleaving of heads, for matrices and biases", async () => {
  await withFolder((folder) => {
    // Two heads of size 6: the file holds rows 0, 3, 1, 4, 2, 5 of each head.
    const order = [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11];
    const matrix = Float32Array.from(order.flatMap((row) => [row, row + 0.5]));
    const tensor = store(folder, "F32", [12, 2], matrix, 2);
    const rows = Float32Array.from({ length: 24 }, (_, i) => i / 2);
    assertEquals(readRows(tensor), rows);
    for (let from = 0; from <= 12; from++) {
      for (let to = from; to <= 12; to++) {
        assertEquals(readRows(tensor, { from, to }), rows.slice(2 * from, 2 * to));
      }
    }
    const bias = store(folder, "F32", [12], Float32Array.from(order), 2);
    assertEquals(readRows(bias, { from: 4, to: 9 }), Float32Array.of(4, 5, 6, 7, 8));
  });
});

Deno.test("readRows() undoes the interleaving of quantised heads", async () => {
  await withFolder((folder) => {
    const order = [0, 2, 1, 3];
    const data = Float32Array.from(order.flatMap((row) => Array(32).fill(row - 2)));
    const rows = readRows(store(folder, "Q8_0", [4, 32], data, 1), { from: 1, to: 4 });
    assertEquals([0, 32, 64].map((i) => Math.round(rows[i] ?? NaN)), [-1, 0, 1]);
  });
});

Deno.test("readRows() refuses a range outside of the tensor", async () => {
  await withFolder((folder) => {
    const tensor = store(folder, "F32", [4, 2], counting(8));
    for (const range of [{ from: -1 }, { to: 5 }, { from: 3, to: 2 }, { from: 0.5 }]) {
      assertThrows(() => readRows(tensor, range), RangeError, "it has 4 rows");
    }
  });
});

Deno.test("readRows() refuses a file that was cut or removed after opening", async () => {
  await withFolder((folder) => {
    const tensor = store(folder, "F32", [4, 2], counting(8));
    Deno.truncateSync(tensor.file, SKIPPED + 20);
    assertEquals(readRows(tensor, { to: 2 }), counting(4));
    assertThrows(() => readRows(tensor), CheckpointError, "it ends at byte 32");
    Deno.removeSync(tensor.file);
    assertThrows(() => readRows(tensor), CheckpointError, "does not exist");
  });
});
