import { basename } from "node:path";
import { BenchmarkError } from "../errors.ts";
import { type LongBenchTask, longBenchTasks } from "./longbench.ts";

/** The files of a task. */
export interface LongBenchFile {
  readonly task: LongBenchTask;
  /** One file, or the parts of one in their order. */
  readonly paths: readonly string[];
}

/** How {@linkcode findLongBenchFiles} looks. */
export interface LongBenchSearch {
  /** Whether LongBench-E is wanted, with its even lengths: files called `NAME_e`. */
  readonly evenLengths?: boolean;
}

const ENDING = /\.(?:jsonl|parquet)$/;

/**
 * Finds LongBench's files, in its order of tasks: `NAME.jsonl` or `NAME.parquet`, or a folder `NAME`
 * with the parts of one.
 *
 * @param path A folder with such files (or with a folder `data` of them), or one of the files.
 * @throws {BenchmarkError} If there is none.
 */
export async function findLongBenchFiles(
  path: string,
  { evenLengths = false }: LongBenchSearch = {},
): Promise<readonly LongBenchFile[]> {
  const tasks = await longBenchTasks();
  const names = tasks.map(({ name }) => name).join(", ");
  let folder: boolean;
  try {
    folder = (await Deno.stat(path)).isDirectory;
  } catch (error) {
    throw unreadable(path, error);
  }
  if (!folder) {
    const name = ENDING.test(path) ? basename(path).replace(ENDING, "").replace(/_e$/, "") : "";
    const task = tasks.find((one) => one.name === name);
    if (task) return [{ task, paths: [path] }];
    throw new BenchmarkError(
      `Cannot tell the task of ${path}: the file must be called as LongBench calls it, NAME.jsonl or ` +
        `NAME.parquet with a name of ${names}`,
    );
  }
  const root = path.replace(/\/+$/, "");
  for (const place of [root, `${root}/data`]) {
    const entries = await list(place);
    const found = await Promise.all(tasks.map(async (task): Promise<LongBenchFile> => ({
      task,
      paths: await pathsOf(place, evenLengths ? `${task.name}_e` : task.name, entries),
    })));
    const files = found.filter(({ paths }) => paths.length > 0);
    if (files.length > 0) return files;
  }
  const ending = evenLengths ? "NAME_e" : "NAME";
  throw new BenchmarkError(
    `Cannot find a file of LongBench${evenLengths ? "-E" : ""} in ${path}: there must be ` +
      `${ending}.jsonl or ${ending}.parquet with a name of ${names}; unpack data.zip of ` +
      "THUDM/LongBench there",
  );
}

async function pathsOf(
  folder: string,
  name: string,
  entries: readonly string[],
): Promise<readonly string[]> {
  const file = [`${name}.jsonl`, `${name}.parquet`].find((one) => entries.includes(one));
  if (file !== undefined) return [`${folder}/${file}`];
  if (!entries.includes(name)) return [];
  const parts = (await list(`${folder}/${name}`)).filter((part) => ENDING.test(part));
  return parts.sort().map((part) => `${folder}/${name}/${part}`);
}

/** Names in a folder; none where there is no such folder. */
async function list(folder: string): Promise<string[]> {
  try {
    return await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return [];
    }
    throw unreadable(folder, error);
  }
}

/** Says why a file or folder cannot be read. */
export function unreadable(path: string, error: unknown): BenchmarkError {
  const reason = error instanceof Deno.errors.NotFound
    ? "there is no such file or folder"
    : error instanceof Error
    ? error.message
    : String(error);
  return new BenchmarkError(`Cannot read ${path}: ${reason}; give LongBench's files`);
}
