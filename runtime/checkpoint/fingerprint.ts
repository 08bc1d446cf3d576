import { createHash } from "node:crypto";
import { CheckpointError } from "../errors.ts";
import { fileError } from "./file_range.ts";

const BATCH_BYTES = 4 * 1024 * 1024;

/** Where fingerprints are remembered. */
export interface FingerprintOptions {
  /**
   * Folder for remembered fingerprints, made if it does not exist. Without it every process hashes
   * the files again.
   */
  readonly home?: string;
  /** Whether files are hashed where no fingerprint of theirs is remembered. @default {true} */
  readonly hash?: boolean;
}

/**
 * Makes the `fingerprint()` of a checkpoint: SHA-256 over the bytes of its files, one after another,
 * read in batches.
 *
 * The result is kept in memory and, with `home`, on disk under the files' real paths, sizes and
 * modification times, so that files of many gigabytes are hashed once.
 *
 * @param files Settings first, then weights in a fixed order.
 * @returns A function; it throws {@linkcode CheckpointError} if a file cannot be read.
 */
export function fingerprintOf(
  files: readonly string[],
  { home, hash = true }: FingerprintOptions = {},
): () => Promise<string> {
  let known: Promise<string> | undefined;
  return () =>
    known ??= (home === undefined ? hashFiles(files) : rememberedHash(files, home, hash))
      .catch((error) => {
        known = undefined;
        throw error;
      });
}

async function rememberedHash(
  files: readonly string[],
  home: string,
  hash: boolean,
): Promise<string> {
  const memo = `${home}/fingerprints/${await memoKey(files)}`;
  const remembered = await Deno.readTextFile(memo).catch(() => "");
  if (/^[0-9a-f]{64}$/.test(remembered)) return remembered;
  if (!hash) {
    throw new CheckpointError(`Cannot tell ${files[0]} by its fingerprint: it has none yet`);
  }
  const fingerprint = await hashFiles(files);
  // A home that cannot be written only costs the time of hashing again.
  await remember(memo, fingerprint).catch(() => {});
  return fingerprint;
}

async function memoKey(files: readonly string[]): Promise<string> {
  const key = createHash("sha256");
  for (const file of files) {
    try {
      const [path, { size, mtime }] = [await Deno.realPath(file), await Deno.stat(file)];
      key.update(JSON.stringify([path, size, mtime?.getTime() ?? null]));
    } catch (error) {
      throw fileError(file, error);
    }
  }
  return key.digest("hex");
}

async function remember(memo: string, fingerprint: string): Promise<void> {
  await Deno.mkdir(memo.slice(0, memo.lastIndexOf("/")), { recursive: true });
  const temporary = `${memo}.${crypto.randomUUID()}.tmp`;
  await Deno.writeTextFile(temporary, fingerprint);
  await Deno.rename(temporary, memo);
}

async function hashFiles(files: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  const batch = new Uint8Array(BATCH_BYTES);
  for (const path of files) {
    try {
      using file = await Deno.open(path);
      for (let count = await file.read(batch); count !== null; count = await file.read(batch)) {
        hash.update(batch.subarray(0, count));
      }
    } catch (error) {
      throw fileError(path, error);
    }
  }
  return hash.digest("hex");
}
