import { sha256 } from "../../run/sha256.ts";
import type { BenchmarkSample } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { type LongBenchFile, unreadable } from "./find_files.ts";
import type { LongBenchTask } from "./longbench.ts";
import { readParquetRows } from "./parquet_rows.ts";
import { LONGBENCH_FIELDS, type LongBenchOptions } from "./sample.ts";

/** What a task's files hold. */
export interface LongBenchReading {
  readonly samples: readonly BenchmarkSample[];
  /** SHA-256 of each file that was read, as hexadecimal digits. */
  readonly hashes: readonly string[];
}

/**
 * Reads the samples of a task's files; parts are read until there are enough.
 *
 * @throws {BenchmarkError} If a file is not one of this task's.
 */
export async function readLongBenchFile(
  { task, paths }: LongBenchFile,
  options: LongBenchOptions,
): Promise<LongBenchReading> {
  const samples: BenchmarkSample[] = [];
  const hashes: string[] = [];
  for (const path of paths) {
    const left = (options.samples ?? Infinity) - samples.length;
    if (left <= 0) break;
    const bytes = await readBytes(path);
    hashes.push(await sha256(bytes));
    for (const sample of await readSamples(task, bytes, path, { ...options, samples: left })) {
      samples.push({ ...sample, id: `${task.name}-${samples.length}` });
    }
  }
  return { samples, hashes };
}

async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function readSamples(
  task: LongBenchTask,
  bytes: Uint8Array<ArrayBuffer>,
  path: string,
  options: LongBenchOptions & { readonly samples: number },
): Promise<readonly BenchmarkSample[]> {
  if (path.endsWith(".parquet")) {
    return task.readRows(
      await readParquetRows(bytes.buffer, path, LONGBENCH_FIELDS, options.samples),
      path,
      options,
    );
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new BenchmarkError(
      `Cannot read ${path} as LongBench: it is not UTF-8 text; give the file as it was published`,
    );
  }
  return task.read(text, path, options);
}
