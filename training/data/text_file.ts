import { whyUnreadable } from "../../runtime/checkpoint/file_range.ts";
import { TrainingError } from "../errors.ts";

/** Close below the longest string that the JavaScript engine makes. */
const MAX_BYTES = 500_000_000;

/** Bytes at the start of a file that tell whether it is text. */
const PROBE_BYTES = 65_536;

/** Share of unreadable characters above which a file is not text. */
const MAX_UNREADABLE = 0.02;

/**
 * Reads a UTF-8 file. A byte-order mark is dropped and a stray invalid byte becomes U+FFFD.
 *
 * @throws {TrainingError} If it is missing, not a regular file, empty, too long, or not text.
 */
export async function readTextFile(path: string): Promise<{ bytes: Uint8Array; text: string }> {
  const bytes = await readBytes(path);
  const probe = bytes.subarray(0, PROBE_BYTES);
  if (probe.includes(0) || unreadable(probe) > MAX_UNREADABLE) {
    throw new TrainingError(
      `Cannot read ${path}: it is not UTF-8 text; give JSON, JSONL or plain text, uncompressed`,
    );
  }
  const text = new TextDecoder().decode(bytes);
  if (text.trim() !== "") return { bytes, text };
  throw new TrainingError(`Cannot read ${path}: it is empty; give a file of conversations`);
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    // Asked before opening: opening a named pipe would wait for its writer.
    const { isFile, isDirectory, size } = await Deno.stat(path);
    if (!isFile) {
      const what = isDirectory ? "a folder" : "not a regular file";
      throw new TrainingError(`Cannot read ${path}: it is ${what}; give a file of conversations`);
    }
    if (size > MAX_BYTES) {
      throw new TrainingError(
        `Cannot read ${path}: it has ${size} bytes, more than the ${MAX_BYTES} that are read; ` +
          "split it",
      );
    }
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof TrainingError) throw error;
    const reason = whyUnreadable(error);
    throw new TrainingError(`Cannot read ${path}: ${reason}; give a file of conversations`, {
      cause: error,
    });
  }
}

function unreadable(bytes: Uint8Array): number {
  const text = new TextDecoder().decode(bytes);
  const bad = text.split("\uFFFD").length - 1;
  // The probe may end within a character.
  return Math.max(0, bad - 1) / Math.max(1, text.length);
}
