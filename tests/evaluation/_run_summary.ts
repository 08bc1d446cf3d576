import type { CellRecord, RunSettings, SampleRecord } from "../../evaluation/run/record.ts";
import type { RunSummary } from "../../evaluation/run/summary_record.ts";
import { summarise } from "../../evaluation/run/summary.ts";

/** Scores by policy and budget, "snapkv 64", or "full". */
export type Scores = Readonly<Record<string, number | "refused">>;

/** Settings of a run that never was. */
export function settings(changes: Partial<RunSettings> = {}): RunSettings {
  return {
    format: 1,
    benchmark: "niah",
    model: { name: "tiny", fingerprint: "f".repeat(64), precision: "fp32" },
    versions: { kvjudge: "0.1.0" },
    policies: [{ label: "snapkv", name: "snapkv", options: { window: 8 } }],
    budgets: ["64"],
    tasks: ["niah"],
    seed: 0,
    options: { question: "last" },
    ...changes,
  };
}

/** A sample that never was. */
export function record(
  id: string,
  scores: Scores,
  changes: Partial<SampleRecord> = {},
): SampleRecord {
  const cells = Object.entries(scores).map(([name, score]): CellRecord => {
    const [policy = "", budget = null] = name.split(" ");
    return {
      policy,
      budget,
      output: "an answer",
      score: score === "refused" ? 0 : score,
      kept: [64, 1024],
      bytes: [1 << 21, budget === null ? 1 << 21 : 1 << 20],
      outputTokens: 2,
      times: { evict: 10, decode: 100 },
      ...(score === "refused" ? { refused: "Cannot keep so little" } : {}),
    };
  });
  return {
    id,
    task: "niah",
    variant: "1024 tokens",
    promptHash: "0".repeat(64),
    promptTokens: 1024,
    facts: { depth: 0, length: 1024 },
    prefill: 50,
    cells,
    ...changes,
  };
}

/** The summary of such samples. */
export function summaryOf(
  records: readonly SampleRecord[],
  changes: Partial<RunSettings> = {},
): RunSummary {
  return summarise(settings(changes), records, { niah: "string_match_all" });
}
