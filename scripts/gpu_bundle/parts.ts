import { createHash } from "node:crypto";
import { join } from "node:path";

/** Largest part: what is carried to the machine at once must be smaller than this. */
export const MOST_BYTES = 60_000_000;

/** A piece of a file that is carried by itself. */
export interface Part {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A file that was cut into parts. */
export interface PartedFile {
  readonly name: string;
  readonly parts: readonly Part[];
  /** Of the whole file. */
  readonly sha256: string;
}

/** What a bundle holds. */
export interface Manifest {
  readonly files: readonly PartedFile[];
}

/**
 * Reads a size such as `45MB`.
 *
 * @throws {RangeError} If it is none, or more than a part may have.
 */
export function partSize(text: string): number {
  const [, number = "", unit = ""] = /^(\d+)(MB|KB|B)?$/i.exec(text) ?? [];
  const factor = { MB: 1_000_000, KB: 1000 }[unit.toUpperCase()] ?? 1;
  const bytes = Number(number) * factor;
  if (number === "" || bytes < 1) {
    throw new RangeError(`Cannot make parts of ${text}: give a size such as 45MB`);
  }
  if (bytes < MOST_BYTES) return bytes;
  throw new RangeError(`Cannot make parts of ${text}: they must be under ${MOST_BYTES / 1e6} MB`);
}

/** Cuts a file into parts `folder/name.00`, `.01` and so on. */
export async function cutFile(
  path: string,
  { folder, name, bytes }: {
    readonly folder: string;
    readonly name: string;
    /** Of a part. */
    readonly bytes: number;
  },
): Promise<PartedFile> {
  await Deno.mkdir(folder, { recursive: true });
  using file = await Deno.open(path);
  const whole = createHash("sha256");
  const parts: Part[] = [];
  const buffer = new Uint8Array(bytes);
  for (;;) {
    const length = await fill(file, buffer);
    if (length === 0) break;
    const piece = buffer.subarray(0, length);
    const part = `${name}.${String(parts.length).padStart(2, "0")}`;
    await Deno.writeFile(join(folder, part), piece);
    whole.update(piece);
    const sha256 = createHash("sha256").update(piece).digest("hex");
    parts.push({ name: part, bytes: length, sha256 });
  }
  return { name, parts, sha256: whole.digest("hex") };
}

async function fill(file: Deno.FsFile, buffer: Uint8Array): Promise<number> {
  let length = 0;
  while (length < buffer.length) {
    const read = await file.read(buffer.subarray(length));
    if (read === null) break;
    length += read;
  }
  return length;
}

/** A manifest as `unpack.sh` reads it: a line for each part. */
export function manifestLines({ files }: Manifest): string {
  return files.flatMap(({ name, sha256, parts }) =>
    parts.map((part) => `${name} ${sha256} ${part.name} ${part.sha256}\n`)
  ).join("");
}
