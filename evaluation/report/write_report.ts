import { writeAtomically } from "../../runtime/atomic_file.ts";
import { toHtml, toMarkdown } from "./blocks.ts";
import { reportBlocks } from "./content.ts";
import { folderOf, inFolder, readRecords, readSummary } from "./read_run.ts";

/**
 * Writes `report.md`, `report.html` and their figures beside the files of a run.
 *
 * @param run Folder of a run that has come to its end, or its `summary.json`.
 * @returns Paths of what was written.
 * @throws {BenchmarkError} If the folder holds no run, or one that has not come to its end.
 * @throws {StorageError} If it cannot be written.
 *
 * @example
 * ```ts
 * import { BenchmarkError } from "../benchmarks/errors.ts";
 * import { writeReport } from "./write_report.ts";
 * import { assertRejects } from "@std/assert";
 *
 * await assertRejects(() => writeReport("no_such_run"), BenchmarkError, "no_such_run");
 * ```
 */
export async function writeReport(run: string): Promise<readonly string[]> {
  const summary = await readSummary(run);
  const folder = await folderOf(run);
  const blocks = await reportBlocks(summary, await readRecords(folder));
  const title = `${summary.settings.benchmark} on ${summary.settings.model.name}`;
  const encoder = new TextEncoder();
  const files: [name: string, text: string][] = [
    ...blocks.flatMap((block): [string, string][] =>
      block.kind === "figure" ? [[block.file, block.svg]] : []
    ),
    ["report.md", toMarkdown(blocks)],
    ["report.html", toHtml(title, blocks)],
  ];
  for (const [name, text] of files) {
    await writeAtomically(inFolder(folder, name), encoder.encode(text));
  }
  return files.map(([name]) => inFolder(folder, name));
}
