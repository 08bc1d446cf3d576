import { bareCommand } from "../_subcommand.ts";
import { ValidationError } from "@cliffy/command";
import type { Comparison, ComparisonReport } from "../../evaluation/compare.ts";
import type { RunSummary } from "../../evaluation/run/summary_record.ts";
import { defined } from "../_defined.ts";
import { note, write } from "../_output.ts";
import { table } from "../_table.ts";
import { percent } from "./_percent.ts";

interface CompareFlags {
  readonly policy?: string | undefined;
  readonly against?: string | undefined;
  readonly json?: boolean | undefined;
}

/** `kvjudge eval compare`: two runs side by side. */
export function compareCommand() {
  return bareCommand()
    .description(
      "Compares two runs, or two policies of one, sample by sample, with bootstrap intervals.",
    )
    .arguments("<first:string> [second:string]")
    .option("--policy <label:string>", "Policy of the first run.", { depends: ["against"] })
    .option("--against <label:string>", "Policy of the second run, or of the same one.", {
      depends: ["policy"],
    })
    .option("--json", "Print one JSON object.")
    .example("Two runs", "kvjudge eval compare before/summary.json after/summary.json")
    .example("Two policies", "kvjudge eval compare results/ruler --policy judge_q --against snapkv")
    .action((flags, first, second) => run(flags, first, second));
}

async function run(
  { policy, against, json }: CompareFlags,
  first: string,
  second: string | undefined,
): Promise<void> {
  const pair = policy !== undefined && against !== undefined ? { policy, against } : undefined;
  if (second === undefined && !pair) {
    throw new ValidationError(
      'One run is compared with itself: give a second one, or "--policy" and "--against".',
    );
  }
  const { readPromptHashes, readSummary } = await import("../../evaluation/report/read_run.ts");
  const { compareRuns } = await import("../../evaluation/compare.ts");
  const read = async (path: string) => ({
    ...await readSummary(path),
    ...defined({ promptHashes: await readPromptHashes(path) }),
  });
  const one = await read(first);
  const other = second === undefined ? one : await read(second);
  const report = compareRuns(one, other, pair);
  for (const warning of report.warnings) note(`warning: ${warning}`);
  write(
    json
      ? `${JSON.stringify({ first: one.settings, second: other.settings, ...report })}\n`
      : show(report, one.metrics),
  );
}

function show({ comparisons }: ComparisonReport, metrics: RunSummary["metrics"]): string {
  const line = (comparison: Comparison) => {
    const { task, variant, policy, against, budget, scores, difference, outcomes } = comparison;
    // Of perplexity the mean negative log-likelihoods are compared, in nats.
    const text = metrics[task] === "perplexity"
      ? (score: number) => score.toFixed(4)
      : (score: number) => percent(score);
    const signed = (score: number | null) =>
      score === null ? "-" : `${score > 0 ? "+" : ""}${text(score)}`;
    return [
      task,
      variant,
      policy === against ? policy : `${policy} - ${against}`,
      budget ?? "all",
      ...scores.map(text),
      signed(difference.mean),
      difference.interval ? difference.interval.map(signed).join(" to ") : "-",
      outcomes.join("/"),
      String(difference.n),
    ];
  };
  const titles = ["task", "variant", "policy", "budget", "first", "second", "difference", "95 %"];
  return table([[...titles, "won/tied/lost", "n"], ...comparisons.map(line)]);
}
