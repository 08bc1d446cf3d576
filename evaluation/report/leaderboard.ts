import { writeAtomically } from "../../runtime/atomic_file.ts";
import type { RunSummary } from "../run/summary_record.ts";
import { boardsOf } from "./boards.ts";
import { leaderboardFigure } from "./leaderboard_figure.ts";
import { folderOf, inFolder, readSummary } from "./read_run.ts";
import { budgetOrder, policyOrder } from "./scores.ts";

/** Budgets as what is removed, where they are shares. */
function removed(budget: string): string {
  const share = Number(budget);
  return share > 0 && share < 1 ? `${Number((100 * (1 - share)).toFixed(1))} % removed` : budget;
}

/** The tables of a run, a policy a line. */
export function leaderboardText(summary: RunSummary): string {
  const { settings } = summary;
  const budgets = budgetOrder(summary.rows);
  const number = (value: number | null) => value === null ? "–" : value.toFixed(1);
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
  const tables = boardsOf(summary).map(({ variant, full, standings, prefill }) =>
    [
      `## ${variant}`,
      "",
      line(["policy", ...budgets.map(removed), "mean", "smallest cache (MiB)", "eviction (ms)"]),
      line(["-", ...budgets.map(() => "-:"), "-:", "-:", "-:"]),
      line([
        "the whole cache",
        ...budgets.map(() => number(full.mean)),
        number(full.mean),
        mebibytes(full.bytes[0] ?? 0),
        "",
      ]),
      ...standings.map(({ policy, scores, mean, bytes, evict }) =>
        line([
          `\`${policy}\``,
          ...scores.map(number),
          number(mean),
          mebibytes(Math.min(...bytes.filter((one) => one > 0))),
          evict.toFixed(0),
        ])
      ),
      "",
      `Reading a prompt took ${prefill.toFixed(0)} ms.`,
    ].join("\n")
  );
  return [
    `# Leaderboard: ${settings.model.name}`,
    `RULER, each task counting the same, in per cent: ${settings.tasks.join(", ")}; ` +
    `${settings.model.precision} weights, kvjudge ${settings.versions.kvjudge ?? "?"}, seed ` +
    `${settings.seed}. All policies judge the same reading of each prompt.`,
    "![Score against memory and against the time that evicting takes](leaderboard.svg)",
    ...tables,
  ].join("\n\n") + "\n";
}

/**
 * Writes `leaderboard.md` and its picture beside the files of a run.
 *
 * @param run Folder of a run that has come to its end.
 * @returns Paths of what was written.
 * @throws {BenchmarkError} If the folder holds no run, or one that has not come to its end.
 * @throws {StorageError} If it cannot be written.
 *
 * @example
 * ```ts
 * import { BenchmarkError } from "../benchmarks/errors.ts";
 * import { writeLeaderboard } from "./leaderboard.ts";
 * import { assertRejects } from "@std/assert";
 *
 * await assertRejects(() => writeLeaderboard("no_such_run"), BenchmarkError, "no_such_run");
 * ```
 */
export async function writeLeaderboard(run: string): Promise<readonly string[]> {
  const summary = await readSummary(run);
  const folder = await folderOf(run);
  const figure = await leaderboardFigure(boardsOf(summary), policyOrder(summary.rows));
  const files = [["leaderboard.md", leaderboardText(summary)], [
    "leaderboard.svg",
    figure,
  ]] as const;
  for (const [name, text] of files) {
    await writeAtomically(inFolder(folder, name), new TextEncoder().encode(text));
  }
  return files.map(([name]) => inFolder(folder, name));
}
