import * as v from "npm:valibot@1.5.0";
import type { SchemaOf } from "../../runtime/schema.ts";
import type { Estimate } from "../statistics.ts";
import { BUDGET_LABEL, PAIR, RUN_SETTINGS, type RunSettings } from "./record.ts";

/** One row of a table: a policy at a budget over the samples of a task and variant. */
export interface SummaryRow {
  /** Name of the task. */
  readonly task: string;
  /** What its samples share: length, where the question stands. */
  readonly variant: string;
  /** The policy, as it was written. */
  readonly policy: string;
  /** The budget, as it was written; `null` for the whole cache. */
  readonly budget: string | null;
  /** Mean over the samples. */
  readonly score: Estimate;
  /** Score of each sample by its id, to compare runs pair by pair. */
  readonly scores: Readonly<Record<string, number>>;
  /** Means over the samples. */
  readonly kept: number;
  /** Bytes of the cache before the eviction. */
  readonly bytesBefore: number;
  /** Bytes of the cache after it. */
  readonly bytesAfter: number;
  /** Samples that the policy refused; they count nowhere else. */
  readonly refused: number;
}

/** Mean milliseconds of a row: what a repetition does not reproduce. */
export interface TimingRow extends Pick<SummaryRow, "task" | "variant" | "policy" | "budget"> {
  /** Reading the prompt. */
  readonly prefill: number;
  /** Evicting. */
  readonly evict: number;
  /** Per output token. */
  readonly decodeToken: number;
}

/** `summary.json`. */
export interface RunSummary {
  /** What is measured. */
  readonly settings: RunSettings;
  /** How scores read: "accuracy", "perplexity". */
  readonly metrics: Readonly<Record<string, string>>;
  /** One row for each policy and budget of a task and variant. */
  readonly rows: readonly SummaryRow[];
  /** The same rows, in milliseconds. */
  readonly timings: readonly TimingRow[];
}

const ROW = { task: v.string(), variant: v.string(), policy: v.string(), budget: BUDGET_LABEL };

const ESTIMATE: SchemaOf<Estimate> = v.object({
  mean: v.nullable(v.number()),
  interval: v.nullable(PAIR),
  n: v.number(),
});

/** `summary.json`. */
export const RUN_SUMMARY: SchemaOf<RunSummary> = v.object({
  settings: RUN_SETTINGS,
  metrics: v.record(v.string(), v.string()),
  rows: v.array(v.object({
    ...ROW,
    score: ESTIMATE,
    scores: v.record(v.string(), v.number()),
    kept: v.number(),
    bytesBefore: v.number(),
    bytesAfter: v.number(),
    refused: v.number(),
  })),
  timings: v.array(v.object({
    ...ROW,
    prefill: v.number(),
    evict: v.number(),
    decodeToken: v.number(),
  })),
});
