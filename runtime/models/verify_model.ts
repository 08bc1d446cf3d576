import { createReadStream } from "node:fs";
import type { FoundFile, FoundModel } from "./find_model.ts";
import { startHash } from "./verified_file.ts";

/** How a file compares with what was recorded when it was fetched. */
export interface VerifiedModelFile {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  /** `unknown`: no checksum was recorded, only the size agrees. */
  readonly outcome: "whole" | "damaged" | "unknown";
  /** The checksum that it should have and has, where they differ. */
  readonly expected?: string;
  readonly found?: string;
}

/** What {@linkcode verifyModel} depends on. */
export interface VerifyOptions {
  /** Ends the reading. */
  readonly signal?: AbortSignal;
  /** Hears how many bytes of a file were read. */
  readonly onProgress?: (file: string, done: number, total: number) => void;
}

/** Reads every file of a fetched model and compares its checksum with the recorded one. */
export async function verifyModel(
  { files }: FoundModel,
  options: VerifyOptions = {},
): Promise<VerifiedModelFile[]> {
  const verified: VerifiedModelFile[] = [];
  for (const file of files) verified.push(await verifyFile(file, options));
  return verified;
}

async function verifyFile(
  { name, path, bytes, checksum }: FoundFile,
  { signal, onProgress = () => {} }: VerifyOptions,
): Promise<VerifiedModelFile> {
  const known = { name, path, bytes };
  if (checksum === undefined) return { ...known, outcome: "unknown" };
  const hash = startHash(checksum, bytes);
  let done = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    signal?.throwIfAborted();
    hash.update(chunk);
    done += chunk.length;
    onProgress(name, done, bytes);
  }
  const found = hash.digest("hex");
  if (found === checksum.value) return { ...known, outcome: "whole" };
  return { ...known, outcome: "damaged", expected: checksum.value, found };
}
