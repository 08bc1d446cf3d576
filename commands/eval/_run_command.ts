import { EnumType } from "@cliffy/command";
import type { QuestionOrder } from "../../evaluation/benchmarks/benchmark.ts";
import type { RunSummary } from "../../evaluation/run/summary_record.ts";
import type { QuestionSetting } from "../../evaluation/run/run_prompt.ts";
import { checkFolder } from "../_check_target.ts";
import { defined } from "../_defined.ts";
import { type ModelWork, withModel } from "../_model_command.ts";
import { QUEUE_WORDS } from "../_queue.ts";
import { checkWorkers, openWorkers } from "./_workers.ts";
import { formatBytes, note, write } from "../_output.ts";
import {
  deviceOf,
  type EvalSettings,
  measurementCommand,
  readEvalSettings,
} from "./_eval_command.ts";
import type { RunFlags, RunPlan } from "./_run_plan.ts";
import { counting, untilStopped } from "./_run_progress.ts";
import { runSettings } from "./_run_settings.ts";
import { table } from "../_table.ts";
import { percent, percents } from "./_percent.ts";
import { atLeast } from "./_numbers.ts";

/** What the user said about the question. */
export interface QuestionFlags {
  readonly question: QuestionOrder | "both";
  readonly visibleQuestion: "yes" | "no" | "both";
}

/** Policies of the field that a run measures where none are named. */
const RUN_POLICIES =
  "random,streaming_llm,h2o,snapkv,pyramidkv,lookahead_q_cache,graphkv,judge_q,oracle";

const RUN_BUDGETS = "64,128,256,512";

/**
 * A command with the flags that every run has.
 *
 * @param samples Samples where no number is given.
 * @param policies Policies where none are named.
 * @param budgets Budgets where none are given.
 */
export function runCommand(
  samples: number,
  policies: string = RUN_POLICIES,
  budgets: string = RUN_BUDGETS,
) {
  return measurementCommand(policies, budgets)
    .option("--samples <count:integer>", "Samples of each task and length.", { default: samples })
    .option("--out <folder:string>", "Folder for settings, samples, summary and report.")
    .option(
      "--workers <count:string>",
      "Samples measured at a time, each with a model of its own; auto: what processors and memory allow.",
      { default: "auto" },
    )
    .option("--queue <url:string>", QUEUE_WORDS.queue)
    .option("--queue-password-file <file:string>", QUEUE_WORDS.passwordFile)
    .option("--queue-ca <file:string>", QUEUE_WORDS.authority)
    .option("--queue-wait <seconds:number>", QUEUE_WORDS.wait, { default: 300 })
    .option("--store <url:string>", QUEUE_WORDS.store, { depends: ["queue"] });
}

/** As {@linkcode runCommand}, for benchmarks that ask questions about a text. */
export function questionCommand(samples: number, policies: string = RUN_POLICIES) {
  return runCommand(samples, policies)
    .type("order", new EnumType(["last", "first", "both"]))
    .type("visible", new EnumType(["yes", "no", "both"]))
    .option("--question <order:order>", "Where the question stands: last, first or both.", {
      default: "last" as const,
    })
    .option(
      "--visible-question <choice:visible>",
      "Whether a question that stands last is part of what policies see, or follows the eviction.",
      { default: "yes" as const },
    );
}

/** The question settings that the flags ask for. */
export function questionSettings(
  { question, visibleQuestion }: QuestionFlags,
): readonly QuestionSetting[] {
  const settings: QuestionSetting[] = [];
  if (question !== "first") {
    if (visibleQuestion !== "no") settings.push({ order: "last", visible: true });
    if (visibleQuestion !== "yes") settings.push({ order: "last", visible: false });
  }
  if (question !== "last") settings.push({ order: "first", visible: true });
  return settings;
}

/** Puts the quick values in place of what the user has not set. */
export function quickened<F extends RunFlags>(
  flags: F,
  defaults: Partial<F>,
  quick: Partial<F>,
): F {
  const given = new Map(Object.entries(flags));
  const standard: Readonly<Record<string, unknown>> = {
    policies: RUN_POLICIES,
    budgets: RUN_BUDGETS,
    ...defaults,
  };
  const entries = Object.entries(quick).filter(([name]) => given.get(name) === standard[name]);
  note(`quick: ${entries.map(([name, value]) => `${name} ${String(value)}`).join("; ")}`);
  return { ...flags, ...Object.fromEntries(entries) };
}

/** The question settings as records name them. */
export function questionRecord({ question, visibleQuestion }: QuestionFlags) {
  return { question, visible_question: visibleQuestion };
}

/** Runs a benchmark and prints its table. */
export async function runEval(flags: RunFlags, plan: RunPlan): Promise<void> {
  atLeast("--samples", flags.samples, 1);
  checkWorkers(flags);
  if (flags.out !== undefined) await checkFolder(flags.out);
  const settings = await readEvalSettings(flags, plan.answerTokens);
  if (flags.queue === undefined) {
    return await withModel(flags, async (given) => {
      await show(flags, plan, await runHere(flags, plan, settings, given));
    });
  }
  const { runOnQueue } = await import("./_run_on_queue.ts");
  const summary = await runOnQueue(flags, plan, settings, flags.queue);
  if (summary) await show(flags, plan, summary);
}

async function runHere(
  flags: RunFlags,
  plan: RunPlan,
  settings: EvalSettings,
  { model, progress, signal }: ModelWork,
): Promise<RunSummary> {
  const { runBenchmark } = await import("../../evaluation/run/benchmark_run.ts");
  const planned = await plan.plan(model);
  const recorded = await runSettings(flags, plan, planned, {
    ...settings,
    model,
    ...deviceOf(model),
  });
  await using workers = await openWorkers(flags, model, progress, signal);
  const summary = await untilStopped(flags, signal, () =>
    runBenchmark({
      ...planned,
      ...defined({ folder: flags.out }),
      settings: recorded,
      workers: workers.models.map((one) => ({
        ...settings,
        ...defined({ chunk: flags.chunk }),
        model: one,
        signal,
        now: () => performance.now(),
      })),
      signal,
      onProgress: counting(progress),
    }));
  progress.clear();
  return summary;
}

async function show(flags: RunFlags, plan: RunPlan, summary: RunSummary): Promise<void> {
  if (flags.json) write(`${JSON.stringify(summary)}\n`);
  else write((plan.show ?? showSummary)(summary));
  if (flags.out !== undefined) await report(flags.out);
}

/** Writes the report of a run, and says where. */
export async function report(folder: string): Promise<void> {
  const { writeReport } = await import("../../evaluation/report/write_report.ts");
  const files = await writeReport(folder);
  note(`written: ${files.filter((file) => !file.endsWith(".svg")).join(", ")}`);
}

const PERPLEXITY = "perplexity";

function perplexity(score: number | null): string {
  return score === null ? "-" : Math.exp(score).toFixed(2);
}

/** The table of a run: one line for each policy and budget, tasks averaged. */
function showSummary({ rows, metrics }: RunSummary): string {
  const lines = rows.map(({ task, variant, policy, budget, score, bytesAfter, refused }) => [
    task,
    variant,
    policy,
    budget ?? "all",
    ...metrics[task] === PERPLEXITY
      ? [perplexity(score.mean), score.interval?.map(perplexity).join("-") ?? "-"]
      : [percent(score.mean), percents(score.interval)],
    `${score.n}${refused > 0 ? ` (${refused} refused)` : ""}`,
    formatBytes(Math.round(bytesAfter)),
  ]);
  return table([["task", "variant", "policy", "budget", "score", "95 %", "n", "cache"], ...lines]);
}
