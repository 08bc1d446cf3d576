import * as v from "npm:valibot@1.5.0";
import { ANY_OBJECT, type SchemaOf } from "../../runtime/schema.ts";

/** Version of the files of a run. */
export const RUN_FORMAT = 1;

/** What was to be measured: written before the first sample and never changed. */
export interface RunSettings {
  /** {@linkcode RUN_FORMAT}. */
  readonly format: number;
  /** Name of the benchmark, as in `kvjudge eval NAME`. */
  readonly benchmark: string;
  /** The model. */
  readonly model: {
    readonly name: string;
    readonly fingerprint: string;
    readonly precision: string;
    /** Absent: the processor. */
    readonly device?: string;
  };
  /** Of kvjudge and what it runs on. */
  readonly versions: Readonly<Record<string, string>>;
  /** Every policy with the options in force, the whole cache left out. */
  readonly policies: readonly {
    /** As it was written; rows and figures call it so. */
    readonly label: string;
    readonly name: string;
    readonly options: Readonly<Record<string, unknown>>;
  }[];
  /** As they were written. */
  readonly budgets: readonly string[];
  /** Names of the tasks. */
  readonly tasks: readonly string[];
  /** Seed of samples and intervals. */
  readonly seed: number;
  /** All else that decides the samples or the outputs: question order, lengths, files by hash. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** What one policy made of one sample at one budget. */
export interface CellRecord {
  /** The policy, as it was written. */
  readonly policy: string;
  /** `null` for the whole cache. */
  readonly budget: string | null;
  /** The answer. */
  readonly output: string;
  /** Of the task's metric, from 0 to 1; for perplexity the mean negative log-likelihood. */
  readonly score: number;
  /** Tokens held after the eviction, summed over global layers and KV heads, of how many. */
  readonly kept: readonly [kept: number, total: number];
  /** Bytes of the cache that were allocated before and after the eviction. */
  readonly bytes: readonly [before: number, after: number];
  /** Tokens of the answer. */
  readonly outputTokens: number;
  /** Milliseconds. */
  readonly times: { readonly evict: number; readonly decode: number };
  /** Why this policy could not keep so little of this sample; all else then says nothing. */
  readonly refused?: string;
}

/** What measured a sample, where many machines share a run: numbers of others may differ in last bits. */
export interface MachineRecord {
  /** As its maker calls it, with its kind: "AMD EPYC 9B14, x64". */
  readonly processor: string;
  /** Absent: the processor. */
  readonly device?: string;
  /** How the weights were held. */
  readonly precision: string;
  /** Of kvjudge and what it runs on. */
  readonly versions: Readonly<Record<string, string>>;
}

/** One line of `samples.jsonl`: a sample, and all that was made of it. */
export interface SampleRecord {
  /** Unique in the run. */
  readonly id: string;
  /** Name of the task. */
  readonly task: string;
  /** Rows of a table: "1024, question first, visible". Samples of one variant are averaged. */
  readonly variant: string;
  /** SHA-256 of the prompt's text, as hexadecimal digits. */
  readonly promptHash: string;
  /** Tokens of the whole prompt, chat template included. */
  readonly promptTokens: number;
  /** What tables and figures want to know: depth, length, needles. */
  readonly facts: Readonly<Record<string, number | string>>;
  /** Milliseconds of the one prefill that all cells share. */
  readonly prefill: number;
  /** One for each policy and budget. */
  readonly cells: readonly CellRecord[];
  /** Samples that were measured at the same time, this one included; absent: on other machines. */
  readonly workers?: number;
  /** What measured it, if not the machine of the run. */
  readonly machine?: MachineRecord;
}

/** Two numbers. */
export const PAIR = v.tuple([v.number(), v.number()]);
/** A budget as it was written; `null` for the whole cache. */
export const BUDGET_LABEL = v.nullable(v.string());

/** Settings of a later kvjudge are kept, so that a run that has them is not taken for another. */
export const RUN_SETTINGS: SchemaOf<RunSettings> = v.looseObject({
  format: v.literal(RUN_FORMAT),
  benchmark: v.string(),
  model: v.looseObject({
    name: v.string(),
    fingerprint: v.string(),
    precision: v.string(),
    device: v.exactOptional(v.string()),
  }),
  versions: v.record(v.string(), v.string()),
  policies: v.array(v.looseObject({ label: v.string(), name: v.string(), options: ANY_OBJECT })),
  budgets: v.array(v.string()),
  tasks: v.array(v.string()),
  seed: v.number(),
  options: ANY_OBJECT,
});

const CELL_RECORD: SchemaOf<CellRecord> = v.object({
  policy: v.string(),
  budget: BUDGET_LABEL,
  output: v.string(),
  score: v.number(),
  kept: PAIR,
  bytes: PAIR,
  outputTokens: v.number(),
  times: v.object({ evict: v.number(), decode: v.number() }),
  refused: v.exactOptional(v.string()),
});

/** What measured a sample. */
const MACHINE_RECORD: SchemaOf<MachineRecord> = v.object({
  processor: v.string(),
  device: v.exactOptional(v.string()),
  precision: v.string(),
  versions: v.record(v.string(), v.string()),
});

/** A line of `samples.jsonl`. */
export const SAMPLE_RECORD: SchemaOf<SampleRecord> = v.object({
  id: v.string(),
  task: v.string(),
  variant: v.string(),
  promptHash: v.string(),
  promptTokens: v.number(),
  facts: v.record(v.string(), v.union([v.number(), v.string()])),
  prefill: v.number(),
  cells: v.array(CELL_RECORD),
  workers: v.exactOptional(v.number()),
  machine: v.exactOptional(MACHINE_RECORD),
});
