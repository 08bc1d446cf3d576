import { BenchmarkError } from "../benchmarks/errors.ts";
import { checkJson, demand } from "../../runtime/schema.ts";
import { RUN_FORMAT, SAMPLE_RECORD, type SampleRecord } from "../run/record.ts";
import { RUN_SUMMARY, type RunSummary } from "../run/summary_record.ts";
import { RUN_FILES } from "../run/run_folder.ts";

/**
 * Reads the summary of a run.
 *
 * @param path `summary.json`, or the folder of a run.
 * @throws {BenchmarkError} If it is not there, not a summary, or the run has not come to its end.
 *
 * @example
 * ```ts
 * import { BenchmarkError } from "../benchmarks/errors.ts";
 * import { readSummary } from "./read_run.ts";
 * import { assertRejects } from "@std/assert";
 *
 * await assertRejects(() => readSummary("no_such_run"), BenchmarkError, "no_such_run");
 * ```
 */
export async function readSummary(path: string): Promise<RunSummary> {
  const folder = await isFolder(path);
  const file = folder ? inFolder(path, RUN_FILES.summary) : path;
  if (folder) await requireEnd(path, file);
  const checked = checkJson(RUN_SUMMARY, await readText(file));
  return demand(checked, (problem) =>
    new BenchmarkError(
      `Cannot read ${file} as the summary of a run of format ${RUN_FORMAT}: ${problem}; ` +
        "give one that kvjudge eval has written",
    ));
}

/**
 * Reads what was made of each sample.
 *
 * @param folder Folder of a run.
 * @throws {BenchmarkError} If the file is not there, or a line of it is not a record.
 */
export async function readRecords(folder: string): Promise<readonly SampleRecord[]> {
  const file = inFolder(folder, RUN_FILES.samples);
  const lines = (await readText(file)).split("\n").filter((line) => line !== "");
  return lines.map((line, at) => {
    const place = `${file}, line ${at + 1}, as a record of a sample`;
    return demand(
      checkJson(SAMPLE_RECORD, line),
      (problem) => new BenchmarkError(`Cannot read ${place}: ${problem}; mend or remove the line`),
    );
  });
}

/**
 * SHA-256 of the prompts of a run, by the ids of the samples; `undefined` where only the summary is at
 * hand.
 *
 * @param path `summary.json`, or the folder of a run.
 */
export async function readPromptHashes(
  path: string,
): Promise<ReadonlyMap<string, string> | undefined> {
  const folder = await folderOf(path);
  const there = await Deno.stat(inFolder(folder, RUN_FILES.samples)).then(() => true, () => false);
  if (!there) return undefined;
  const records = await readRecords(folder);
  return new Map(records.map(({ id, promptHash }) => [id, promptHash]));
}

/** Folder of a run that is named by its folder or a file in it. */
export async function folderOf(path: string): Promise<string> {
  return await isFolder(path) ? path : path.replace(/[^/]*$/, "") || ".";
}

/** Path of a file of a run. */
export function inFolder(folder: string, name: string): string {
  return folder.endsWith("/") ? `${folder}${name}` : `${folder}/${name}`;
}

function isFolder(path: string): Promise<boolean> {
  return Deno.stat(path).then((found) => found.isDirectory, () => false);
}

async function requireEnd(folder: string, file: string): Promise<void> {
  const there = (path: string) => Deno.stat(path).then(() => true, () => false);
  if (await there(file) || !await there(inFolder(folder, RUN_FILES.settings))) return;
  const text = await Deno.readTextFile(inFolder(folder, RUN_FILES.samples)).catch(() => "");
  const measured = text.split("\n").length - 1;
  throw new BenchmarkError(
    `Cannot read ${file}: the run has not come to its end, ${measured} samples are measured; give ` +
      "the command that began it once more",
  );
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound
      ? "there is no such file; give the folder of a run that has come to its end"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new BenchmarkError(`Cannot read ${path}: ${reason}`);
  }
}
