import { EnumType } from "@cliffy/command";
import type { QuestionOrder } from "../../evaluation/benchmarks/benchmark.ts";
import type { RunSample } from "../../evaluation/run/benchmark_run.ts";
import type { RunSettings } from "../../evaluation/run/record.ts";
import type { RunSummary } from "../../evaluation/run/summary_record.ts";
import type { QuestionSetting } from "../../evaluation/run/run_prompt.ts";
import type { Model } from "../../runtime/model.ts";
import { defined } from "../_defined.ts";
import { withModel } from "../_model_command.ts";
import { checkWorkers, openWorkers } from "./_workers.ts";
import { formatBytes, note, write } from "../_output.ts";
import type { Progress } from "../_progress.ts";
import { deviceOf, type EvalFlags, measurementCommand, readEvalSettings } from "./_eval_command.ts";
import { table } from "../_table.ts";
import { percent, percents } from "./_percent.ts";
import { atLeast } from "./_numbers.ts";

/** What the user said about a run. */
export interface RunFlags extends EvalFlags {
  readonly samples: number;
  readonly out?: string | undefined;
  readonly workers: string;
}

/** What the user said about the question. */
export interface QuestionFlags {
  readonly question: QuestionOrder | "both";
  readonly visibleQuestion: "yes" | "no" | "both";
}

/** Policies of the field that a run measures where none are named. */
export const RUN_POLICIES =
  "random,streaming_llm,h2o,snapkv,pyramidkv,lookahead_q_cache,graphkv,judge_q,oracle";

const RUN_BUDGETS = "64,128,256,512";

/**
 * A command with the flags that every run has.
 *
 * @param samples Samples where no number is given.
 * @param policies Policies where none are named.
 */
export function runCommand(samples: number, policies: string = RUN_POLICIES) {
  return measurementCommand(policies, RUN_BUDGETS)
    .option("--samples <count:integer>", "Samples of each task and length.", { default: samples })
    .option("--out <folder:string>", "Folder for settings, samples, summary and report.")
    .option(
      "--workers <count:string>",
      "Samples measured at a time, each with a model of its own; auto: what processors and memory allow.",
      { default: "auto" },
    );
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

/** What a benchmark makes of the flags, once the model is there. */
export interface BenchmarkPlan {
  readonly tasks: readonly string[];
  readonly samples: readonly RunSample[];
  readonly metrics: RunSummary["metrics"];
  /** What else decides about the samples. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** A benchmark as its command describes it. */
export interface RunPlan {
  /** Name of the benchmark. */
  readonly name: string;
  readonly version: string;
  /** Tokens of the answer that the oracle judges by unless its options say otherwise. */
  readonly answerTokens: number;
  /** Makes the samples. */
  readonly plan: (model: Model) => BenchmarkPlan | Promise<BenchmarkPlan>;
  /** Prints a summary. @default {a line for each row} */
  readonly show?: (summary: RunSummary) => string;
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
  const settings = await readEvalSettings(flags, plan.answerTokens);
  const { runBenchmark } = await import("../../evaluation/run/benchmark_run.ts");
  await withModel(flags, async ({ model, progress, signal }) => {
    const planned = await plan.plan(model);
    const recorded = await runSettings(flags, plan, planned, { model, ...settings });
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
    if (flags.json) write(`${JSON.stringify(summary)}\n`);
    else write((plan.show ?? showSummary)(summary));
    if (flags.out !== undefined) await report(flags.out);
  });
}

/** Writes the report of a run, and says where. */
export async function report(folder: string): Promise<void> {
  const { writeReport } = await import("../../evaluation/report/write_report.ts");
  const files = await writeReport(folder);
  note(`written: ${files.filter((file) => !file.endsWith(".svg")).join(", ")}`);
}

function counting(progress: Progress): (done: number, total: number) => void {
  const start = performance.now();
  let first: number | undefined;
  return (done, total) => {
    first ??= done - 1;
    const seconds = (performance.now() - start) / 1000 / (done - first) * (total - done);
    progress.counting("samples", done, total, `${Math.ceil(seconds / 60)} min left`);
  };
}

/** Says how to go on with what Ctrl-C has stopped. */
async function untilStopped<T>(
  { out }: RunFlags,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (signal.aborted && out !== undefined) {
      note(`stopped; the same command goes on with the run in ${out}`);
    }
    throw error;
  }
}

async function runSettings(
  flags: RunFlags,
  { name, version }: RunPlan,
  { tasks, options }: BenchmarkPlan,
  { model, policies, budgets }: Awaited<ReturnType<typeof readEvalSettings>> & { model: Model },
): Promise<RunSettings> {
  const { RUN_FORMAT } = await import("../../evaluation/run/record.ts");
  return {
    format: RUN_FORMAT,
    benchmark: name,
    model: {
      name: model.name,
      fingerprint: await model.fingerprint(),
      precision: model.precision,
      ...deviceOf(model),
    },
    versions: { kvjudge: version, deno: Deno.version.deno },
    policies: policies.map(({ label, policy }) => ({
      label,
      name: policy.name,
      options: policy.options ?? {},
    })),
    budgets: budgets.map(({ label }) => label),
    tasks,
    seed: flags.seed,
    options: {
      samples: flags.samples,
      chunk: flags.chunk ?? null,
      ...options,
    },
  };
}

const PERPLEXITY = "perplexity";

function perplexity(score: number | null): string {
  return score === null ? "-" : Math.exp(score).toFixed(2);
}

/** The table of a run: one line for each policy and budget, tasks averaged. */
export function showSummary({ rows, metrics }: RunSummary): string {
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
