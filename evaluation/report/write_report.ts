import { writeAtomically } from "../../runtime/atomic_file.ts";
import { BenchmarkError } from "../benchmarks/errors.ts";
import { RUN_FORMAT, type RunSummary, type SampleRecord } from "../run/record.ts";
import { RUN_FILES } from "../run/run_folder.ts";
import { toHtml, toMarkdown } from "./blocks.ts";
import { reportBlocks } from "./content.ts";

/**
 * Writes `report.md`, `report.html` and their figures beside the files of a run.
 *
 * @param folder Folder of a run that has come to its end.
 * @returns Paths of what was written.
 * @throws {BenchmarkError} If the folder holds no run, or one that has not come to its end.
 * @throws {StorageError} If it cannot be written.
 */
export async function writeReport(folder: string): Promise<readonly string[]> {
  const at = (name: string) => `${folder.replace(/\/+$/, "")}/${name}`;
  const summary = await readSummary(at(RUN_FILES.summary));
  const samples = await readText(at(RUN_FILES.samples));
  const records = samples.trimEnd().split("\n").map((line): SampleRecord => JSON.parse(line));
  const blocks = await reportBlocks(summary, records);
  const title = `${summary.settings.benchmark} on ${summary.settings.model.name}`;
  const encoder = new TextEncoder();
  const files: [name: string, text: string][] = [
    ...blocks.flatMap((block): [string, string][] =>
      block.kind === "figure" ? [[block.file, block.svg]] : []
    ),
    ["report.md", toMarkdown(blocks)],
    ["report.html", toHtml(title, blocks)],
  ];
  for (const [name, text] of files) await writeAtomically(at(name), encoder.encode(text));
  return files.map(([name]) => at(name));
}

/**
 * Reads the summary of a run.
 *
 * @param path `summary.json`, or the folder of a run.
 * @throws {BenchmarkError} If it is not there or not a summary.
 */
export async function readSummary(path: string): Promise<RunSummary> {
  const isFolder = await Deno.stat(path).then((found) => found.isDirectory, () => false);
  const file = isFolder ? `${path.replace(/\/+$/, "")}/${RUN_FILES.summary}` : path;
  const text = await readText(file);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BenchmarkError(`Cannot read ${file}: it is not JSON; give the summary of a run`);
  }
  if (isSummary(value)) return value;
  throw new BenchmarkError(
    `Cannot read ${file}: it is not the summary of a run of format ${RUN_FORMAT}; give one that ` +
      "kvjudge eval --out has written",
  );
}

function isSummary(value: unknown): value is RunSummary {
  return typeof value === "object" && value !== null && "rows" in value &&
    Array.isArray(value.rows) && "settings" in value && typeof value.settings === "object" &&
    value.settings !== null && "format" in value.settings && value.settings.format === RUN_FORMAT;
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
