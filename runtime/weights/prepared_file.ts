import { dirname } from "node:path";
import * as fs from "node:fs";
import type { BlockWeight, FloatWeight, Place, Weight } from "../../kernels/weight.ts";
import type { Blocks } from "./blocks.ts";

/** Writes weights in the layout that the kernels want, one after the other. */
export interface WeightWriter {
  blocks(blocks: Blocks): BlockWeight;
  floats(data: Float32Array, rows: number, columns: number): FloatWeight;
}

/**
 * Gives the weights that `write` lays down, from disk if an earlier run laid them down already.
 *
 * The file and its table of contents are written under temporary names and renamed, the table last:
 * where a table exists, the file is whole.
 *
 * @param path Path of the file of weights.
 * @param write Lays down the weights and returns them by name.
 */
export function preparedWeights(
  path: string,
  write: (writer: WeightWriter) => Record<string, Weight>,
): Record<string, Weight> {
  const table = `${path}.json`;
  const known = readTable(table, path);
  if (known) return known;
  fs.mkdirSync(dirname(path), { recursive: true });
  const suffix = `.${crypto.randomUUID()}.part`;
  try {
    const weights = writeWeights(path, path + suffix, write);
    fs.renameSync(path + suffix, path);
    fs.writeFileSync(table + suffix, JSON.stringify(weights));
    fs.renameSync(table + suffix, table);
    return weights;
  } finally {
    fs.rmSync(path + suffix, { force: true });
    fs.rmSync(table + suffix, { force: true });
  }
}

function readTable(table: string, path: string): Record<string, Weight> | undefined {
  try {
    const weights = JSON.parse(fs.readFileSync(table, "utf8")) as Record<string, Weight>;
    return fs.existsSync(path) ? weights : undefined;
  } catch {
    // No table, or not a table: the weights are laid down again.
    return undefined;
  }
}

// onnxruntime maps external weights into memory; a page boundary keeps the mapping aligned.
const ALIGNMENT = 4096;

function writeWeights(
  path: string,
  temporary: string,
  write: (writer: WeightWriter) => Record<string, Weight>,
): Record<string, Weight> {
  const file = fs.openSync(temporary, "w");
  let offset = 0;
  const place = (data: Uint8Array | Float32Array): Place => {
    offset = Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const start = offset;
    for (let done = 0; done < bytes.length;) {
      done += fs.writeSync(file, bytes, done, bytes.length - done, start + done);
    }
    offset += bytes.length;
    return { file: path, offset: start, length: bytes.length };
  };
  try {
    return write({
      blocks: ({ bits, rows, columns, values, scales, zeroPoints, offsets }) => ({
        kind: "blocks",
        bits,
        rows,
        columns,
        values: place(values),
        scales: place(scales),
        ...(zeroPoints ? { zeroPoints: place(zeroPoints) } : {}),
        ...(offsets ? { offsets: place(offsets) } : {}),
      }),
      floats: (data, rows, columns) => ({
        kind: "float",
        type: "float32",
        rows,
        columns,
        place: place(data),
      }),
    });
  } finally {
    fs.closeSync(file);
  }
}
