import { BenchmarkError } from "../benchmarks/errors.ts";
import { RUN_FORMAT, type RunSummary, type SampleRecord } from "../run/record.ts";
import { RUN_FILES } from "../run/run_folder.ts";

/**
 * Reads the summary of a run.
 *
 * @param path `summary.json`, or the folder of a run.
 * @throws {BenchmarkError} If it is not there, not a summary, or the run has not come to its end.
 */
export async function readSummary(path: string): Promise<RunSummary> {
  const folder = await isFolder(path);
  const file = folder ? inFolder(path, RUN_FILES.summary) : path;
  if (folder) await requireEnd(path, file);
  const value = parse(await readText(file), file, "give the summary of a run");
  if (isSummary(value)) return value;
  throw new BenchmarkError(
    `Cannot read ${file}: it is not the summary of a run of format ${RUN_FORMAT}; give one that ` +
      "kvjudge eval --out has written",
  );
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
    const place = `${file}, line ${at + 1}`;
    const value = parse(line, place, "mend or remove the line");
    if (isRecord(value)) return value;
    throw new BenchmarkError(
      `Cannot read ${place}: it is not a record of a sample; mend or remove the line`,
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

function parse(text: string, place: string, way: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BenchmarkError(`Cannot read ${place}: it is not JSON; ${way}`);
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSummary(value: unknown): value is RunSummary {
  return isObject(value) && isObject(value.settings) && value.settings.format === RUN_FORMAT &&
    isObject(value.settings.model) && isObject(value.settings.options) &&
    Array.isArray(value.settings.policies) && isObject(value.metrics) &&
    Array.isArray(value.timings) && Array.isArray(value.rows) && value.rows.every(isRow);
}

function isRow(value: unknown): boolean {
  return isObject(value) && isObject(value.score) && isObject(value.scores) &&
    [value.task, value.variant, value.policy].every((name) => typeof name === "string");
}

function isRecord(value: unknown): value is SampleRecord {
  return isObject(value) && typeof value.id === "string" && typeof value.promptHash === "string" &&
    isObject(value.facts) && Array.isArray(value.cells) && value.cells.every(isObject);
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
