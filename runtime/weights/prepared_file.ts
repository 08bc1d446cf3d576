import * as v from "npm:valibot@1.5.0";
import { basename, dirname, join } from "node:path";
import * as fs from "node:fs";
import type { Place, Weight } from "../../kernels/weight.ts";
import { storageError } from "../models/storage_error.ts";
import { checkRecord, type SchemaOf } from "../schema.ts";
import { type WeightWriter, writerTo } from "./weight_writer.ts";

const SIZE = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const PLACE: SchemaOf<Place> = v.object({ file: v.string(), offset: SIZE, length: SIZE });

const WEIGHT: SchemaOf<Weight> = v.variant("kind", [
  v.object({
    kind: v.literal("float"),
    type: v.picklist(["float32", "float16", "bfloat16"]),
    rows: SIZE,
    columns: SIZE,
    place: PLACE,
    interleavedHeads: v.exactOptional(SIZE),
  }),
  v.object({
    kind: v.literal("blocks"),
    bits: v.picklist([4, 8]),
    rows: SIZE,
    columns: SIZE,
    values: PLACE,
    scales: PLACE,
    zeroPoints: v.exactOptional(PLACE),
    offsets: v.exactOptional(PLACE),
  }),
]);

/** Table of contents, as JSON beside the file of weights. */
const TABLE = v.object({
  /** Bytes of the file of weights. */
  bytes: SIZE,
  weights: v.record(v.string(), WEIGHT),
});

type Table = Readonly<v.InferOutput<typeof TABLE>>;

/** Leftovers of a process that was killed are this old, in milliseconds, before they are removed. */
const ABANDONED = 10 * 60_000;

/**
 * The weights that `write` gives, from disk if an earlier run wrote them already.
 *
 * The file and its table of contents are written under temporary names and renamed, the table last:
 * where a table exists and knows the file's size, the file is whole.
 *
 * @param path Path of the file of weights.
 * @param write Writes the weights and returns them by name.
 * @throws {FetchError} If the folder cannot be written, or the disk is full.
 */
export function preparedWeights(
  path: string,
  write: (writer: WeightWriter) => Record<string, Weight>,
): Record<string, Weight> {
  const known = readTable(path);
  if (known) return known;
  const suffix = `.${crypto.randomUUID()}.part`;
  try {
    fs.mkdirSync(dirname(path), { recursive: true });
    removeAbandoned(path);
    // Through a symbolic link the runtime would refuse the file.
    const real = join(fs.realpathSync(dirname(path)), basename(path));
    const table = writeWeights(real, path + suffix, write);
    fs.renameSync(path + suffix, path);
    fs.writeFileSync(tableOf(path) + suffix, JSON.stringify(table));
    fs.renameSync(tableOf(path) + suffix, tableOf(path));
    return table.weights;
  } catch (error) {
    throw storageError(error, path);
  } finally {
    for (const file of [path + suffix, tableOf(path) + suffix]) {
      if (fs.existsSync(file)) fs.rmSync(file);
    }
  }
}

function tableOf(path: string): string {
  return `${path}.json`;
}

function readTable(path: string): Record<string, Weight> | undefined {
  try {
    const real = fs.realpathSync(path);
    // The folder may have moved since the table was written.
    const moved = (key: string, value: unknown) => key === "file" ? real : value;
    const read: unknown = JSON.parse(fs.readFileSync(tableOf(path), "utf8"), moved);
    const table = checkRecord(TABLE, read);
    const whole = "value" in table && fs.statSync(real).size === table.value.bytes;
    return whole ? table.value.weights : undefined;
  } catch {
    // No table, or not a table: the weights are written again.
    return undefined;
  }
}

/** Removes what processes left behind that were killed while they wrote the same weights. */
function removeAbandoned(path: string): void {
  const folder = dirname(path);
  for (const name of fs.readdirSync(folder)) {
    if (!name.startsWith(basename(path)) || !name.endsWith(".part")) continue;
    const file = join(folder, name);
    const changed = fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
    if (Date.now() - changed > ABANDONED) fs.rmSync(file, { force: true });
  }
}

function writeWeights(
  path: string,
  temporary: string,
  write: (writer: WeightWriter) => Record<string, Weight>,
): Table {
  const file = fs.openSync(temporary, "w");
  try {
    const writer = writerTo(file, path);
    const weights = write(writer);
    return { bytes: writer.bytes, weights };
  } finally {
    fs.closeSync(file);
  }
}
