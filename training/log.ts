import { whyUnreadable } from "../runtime/checkpoint/file_range.ts";
import * as v from "npm:valibot@1.5.0";
import { checkJson, type SchemaOf } from "../runtime/schema.ts";
import { replaceAtomically, writeError } from "../runtime/atomic_file.ts";
import { TrainingError } from "./errors.ts";

/** One line of a log: any JSON beside the step. Numbers that are not finite read as `null`. */
export interface LogEntry {
  /** Optimiser steps taken when the line was written: 1 after the first. */
  readonly step: number;
  /** Loss, rates, speeds and the like. */
  readonly [name: string]: unknown;
}

const LOG_ENTRY: SchemaOf<LogEntry> = v.looseObject({ step: v.number() });

/** A log that grows line by line. */
export interface TrainingLog extends Disposable {
  /**
   * Appends a line; when this returns, the system has the whole line.
   *
   * @throws {StorageError} If the disk refuses.
   * @throws {TrainingError} If the log was closed.
   */
  write<Entry extends { readonly step: number }>(entry: Entry): void;
}

/** Options of {@linkcode openLog}. */
export interface LogOptions {
  /**
   * Steps that the resumed run has behind it: lines of later steps are dropped, because the run will
   * write them again. Without it the log starts empty.
   */
  readonly resumeAt?: number;
}

/**
 * Opens a log in JSON lines. When a run is resumed, a last line that a kill tore in two is dropped.
 *
 * @throws {StorageError} If the folder is missing or the disk refuses.
 *
 * @example
 * ```ts
 * import { openLog, readLog } from "./log.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const path = await Deno.makeTempFile();
 * {
 *   using log = await openLog(path);
 *   log.write({ step: 1, loss: 0.5 });
 *   log.write({ step: 2, loss: 0.25 });
 * }
 * {
 *   using log = await openLog(path, { resumeAt: 1 });
 *   log.write({ step: 2, loss: 0.25 });
 * }
 * assertEquals(await readLog(path), [{ step: 1, loss: 0.5 }, { step: 2, loss: 0.25 }]);
 * await Deno.remove(path);
 * ```
 */
export async function openLog(path: string, { resumeAt }: LogOptions = {}): Promise<TrainingLog> {
  const kept = resumeAt === undefined ? [] : await readLines(path);
  const lines = kept.filter(({ entry }) => entry.step <= (resumeAt ?? 0)).map(({ line }) => line);
  const text = lines.map((line) => `${line}\n`).join("");
  await replaceAtomically(path, (temporary) => Deno.writeTextFile(temporary, text));
  const guard = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      throw writeError(path, error);
    }
  };
  const file = guard(() => Deno.openSync(path, { append: true }));
  let open = true;
  return {
    write(entry) {
      if (!open) throw new TrainingError(`Cannot write ${path}: the log was closed; open it again`);
      const bytes = new TextEncoder().encode(`${JSON.stringify(entry)}\n`);
      guard(() => {
        for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
      });
    },
    [Symbol.dispose]() {
      if (!open) return;
      open = false;
      file.close();
    },
  };
}

/**
 * Reads a log. Lines that are not whole, or have no step, are left out.
 *
 * @throws {TrainingError} If the file is missing or may not be read.
 */
export async function readLog(path: string): Promise<readonly LogEntry[]> {
  const lines = await readLines(path, true);
  return lines.map(({ entry }) => entry);
}

/** The first line of a log; nothing if the file is not one. */
export function readHead(path: string): LogEntry | undefined {
  const bytes = new Uint8Array(1 << 16);
  using file = Deno.openSync(path);
  const text = new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0));
  return parse(text.split("\n", 1)[0] ?? "");
}

interface Line {
  readonly line: string;
  readonly entry: LogEntry;
}

async function readLines(path: string, mustExist = false): Promise<readonly Line[]> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && !mustExist) return [];
    const reason = whyUnreadable(error);
    throw new TrainingError(`Cannot read the log ${path}: ${reason}; give the log of a training`, {
      cause: error,
    });
  }
  // What follows the last line end is torn, even if it happens to be valid JSON.
  const whole = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
  return whole.flatMap((line) => {
    const entry = parse(line);
    return entry ? [{ line, entry }] : [];
  });
}

function parse(line: string): LogEntry | undefined {
  const checked = checkJson(LOG_ENTRY, line);
  return "value" in checked ? checked.value : undefined;
}
