import type { RunSample } from "../../evaluation/run/benchmark_run.ts";
import type { RunSummary } from "../../evaluation/run/summary_record.ts";
import type { Model } from "../../runtime/model.ts";
import type { SubmitFlags } from "../_queue.ts";
import type { EvalFlags } from "./_eval_command.ts";

/** What the user said about a run. */
export interface RunFlags extends EvalFlags, SubmitFlags {
  readonly samples: number;
  readonly out?: string | undefined;
  readonly workers: string;
}

/** What samples are planned with: a model, or what its files say of one. */
export type PlanningModel = Pick<
  Model,
  "name" | "config" | "tokenizer" | "precision" | "fingerprint"
>;

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
  readonly plan: (model: PlanningModel) => BenchmarkPlan | Promise<BenchmarkPlan>;
  /** Prints a summary. @default {a line for each row} */
  readonly show?: (summary: RunSummary) => string;
}
