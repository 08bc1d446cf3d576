import { CheckpointError } from "../errors.ts";
import { openRange } from "./file_range.ts";

/** Longer than any tokenizer in use; keeps a wrong file from filling memory. */
const MAX_JSON_BYTES = 256 * 1024 * 1024;

/** Whether a value is a JSON object (not an array, not null). */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads a text file.
 *
 * @throws {CheckpointError} If it cannot be read, is too long or is not UTF-8.
 */
export function readText(path: string): string {
  using file = openRange(path);
  if (file.size > MAX_JSON_BYTES) {
    throw new CheckpointError(
      `Cannot read ${path}: it has ${file.size} bytes, more than the ${MAX_JSON_BYTES} allowed.`,
    );
  }
  const bytes = new Uint8Array(file.size);
  file.read(bytes, 0);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new CheckpointError(`Cannot read ${path}: it is not UTF-8 text.`);
  }
}

/**
 * Reads a JSON file that must hold an object.
 *
 * @throws {CheckpointError} If it cannot be read or holds anything else.
 */
export function readJson(path: string): Record<string, unknown> {
  let value: unknown;
  const text = readText(path);
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CheckpointError(
      `Cannot read ${path}: it is not valid JSON; fetch the file again.`,
      { cause: error },
    );
  }
  if (isRecord(value)) return value;
  throw new CheckpointError(`Cannot read ${path}: it does not hold a JSON object.`);
}

/** Whether a file (or a link to one) is there. */
export function fileExists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw new CheckpointError(
      `Cannot read ${path}: ${error instanceof Error ? error.message : error}.`,
      { cause: error },
    );
  }
}
