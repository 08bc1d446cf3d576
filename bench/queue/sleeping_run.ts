import { SAMPLE_RECORD, type SampleRecord } from "../../evaluation/run/record.ts";
import type { QueuedRun } from "../../queue/run.ts";
import type { PlannedJob } from "../../queue/submit.ts";

/** A run whose jobs are slept through. */
export const SLEEPING_RUN: QueuedRun = {
  ...{ format: 1, kind: "samples", version: "bench", title: "sleeping", store: false },
  model: {
    ...{ name: "none", fingerprint: "none", precision: "int8", device: "cpu" },
    allowControlTokens: false,
  },
  ...{ policies: [], places: [], budgets: [], answerTokens: 1, chunk: null },
};

/** Checks what sleeping workers give back. */
export const RECORD = SAMPLE_RECORD;

/** Characters of a job: RULER's prompts of 4096 tokens. */
const JOB_CHARACTERS = 16_384;

/** Cells of a record: ten policies at four budgets. */
const CELLS = 40;

/** Jobs as large as those of a table of RULER at 4K. */
export function sleepingJobs(count: number): readonly PlannedJob[] {
  const text = "The grass is green. ".repeat(JOB_CHARACTERS / 20);
  return Array.from({ length: count }, (_, at) => ({
    name: `sample-${at}`,
    input: () => JSON.stringify({ at, text }),
  }));
}

/** A record as large as one of ten policies at four budgets. */
export function sleptRecord(): SampleRecord {
  return {
    ...{
      id: "slept",
      task: "sleeping",
      variant: "",
      promptHash: "0".repeat(64),
      promptTokens: 4096,
    },
    ...{ facts: {}, prefill: 1 },
    cells: Array.from({ length: CELLS }, (_, at) => ({
      ...{ policy: "snapkv(window=32)", budget: `${at}`, output: "a dozen houses ".repeat(8) },
      ...{ score: 1, kept: [64, 4096] as const, bytes: [1e6, 1e4] as const, outputTokens: 32 },
      times: { evict: 1, decode: 1 },
    })),
  };
}
