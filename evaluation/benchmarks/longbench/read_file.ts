import { basename } from "node:path";
import { BenchmarkError } from "../errors.ts";
import type { BenchmarkSample } from "../benchmark.ts";
import { type LongBenchOptions, type LongBenchTask, longBenchTasks } from "./longbench.ts";

const ENDINGS = [".jsonl", ".parquet"] as const;

/** A file of LongBench, and the task that it belongs to. */
export interface LongBenchFile {
  readonly task: LongBenchTask;
  readonly path: string;
}

/**
 * Finds LongBench's files: `NAME.jsonl` or `NAME.parquet` for each task.
 *
 * @param path A folder with such files, or one of them.
 * @throws {BenchmarkError} If there is none.
 */
export async function findLongBenchFiles(path: string): Promise<readonly LongBenchFile[]> {
  const tasks = longBenchTasks();
  const taskOf = (name: string) =>
    tasks.find((task) => ENDINGS.some((ending) => name === task.name + ending));
  const names = tasks.map(({ name }) => name).join(", ");
  let folder: boolean;
  try {
    folder = (await Deno.stat(path)).isDirectory;
  } catch (error) {
    throw unreadable(path, error);
  }
  if (!folder) {
    const task = taskOf(basename(path));
    if (task) return [{ task, path }];
    throw new BenchmarkError(
      `Cannot tell the task of ${path}: the file must be called as LongBench calls it, NAME.jsonl or ` +
        `NAME.parquet with a name of ${names}`,
    );
  }
  const found = await Array.fromAsync(Deno.readDir(path), ({ name }) => name);
  const files = tasks.flatMap((task): LongBenchFile[] => {
    const name = ENDINGS.map((ending) => task.name + ending).find((one) => found.includes(one));
    return name === undefined ? [] : [{ task, path: `${path.replace(/\/+$/, "")}/${name}` }];
  });
  if (files.length > 0) return files;
  throw new BenchmarkError(
    `Cannot find a file of LongBench in ${path}: there must be NAME.jsonl or NAME.parquet with a ` +
      `name of ${names}; unpack data.zip of THUDM/LongBench there`,
  );
}

/**
 * Reads the samples of a file.
 *
 * @throws {BenchmarkError} If it is not one of this task's.
 */
export async function readLongBenchFile(
  { task, path }: LongBenchFile,
  options: LongBenchOptions,
): Promise<readonly BenchmarkSample[]> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    throw unreadable(path, error);
  }
  if (path.endsWith(".parquet")) {
    return task.readRows(await parquetRows(bytes, path, options), path, options);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new BenchmarkError(`Cannot read ${path} as LongBench: it is not UTF-8 text`);
  }
  return task.read(text, path, options);
}

async function parquetRows(
  { buffer }: Uint8Array<ArrayBuffer>,
  path: string,
  { samples }: LongBenchOptions,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const [{ parquetReadObjects }, { compressors }] = await Promise.all([
    import("npm:hyparquet@1.31.5"),
    import("npm:hyparquet-compressors@1.1.2"),
  ]);
  try {
    return await parquetReadObjects({
      file: buffer,
      compressors,
      ...(samples === undefined ? {} : { rowEnd: samples }),
    });
  } catch (error) {
    throw new BenchmarkError(
      `Cannot read ${path} as a table of Parquet: ${
        error instanceof Error ? error.message : String(error)
      }; fetch the file again`,
    );
  }
}

function unreadable(path: string, error: unknown): BenchmarkError {
  const reason = error instanceof Deno.errors.NotFound
    ? "there is no such file or folder"
    : error instanceof Error
    ? error.message
    : String(error);
  return new BenchmarkError(`Cannot read ${path}: ${reason}; give --data with LongBench's files`);
}
