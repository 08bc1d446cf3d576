import { PromptError } from "../../runtime/errors.ts";
import type { Model } from "../../runtime/model.ts";
import {
  type BenchmarkMetric,
  type BenchmarkSample,
  firstLineOf,
} from "../benchmarks/benchmark.ts";
import { readEvidence } from "../read_evidence.ts";
import type { RunSample } from "./benchmark_run.ts";
import { measureCells } from "./measure_cells.ts";
import type { SampleMeasurement } from "./measurement.ts";
import type { SampleRecord } from "./record.ts";
import { sha256 } from "./sha256.ts";
import { type QuestionSetting, type RunPrompt, runPrompt, settingName } from "./run_prompt.ts";
import type { SampleWork } from "./sample_work.ts";
import { demandArray } from "../../runtime/given.ts";

/** A sample in one of the ways in which it is asked. */
export interface PlannedSample {
  /** The sample. */
  readonly sample: BenchmarkSample;
  /** Judges its output. */
  readonly metric: BenchmarkMetric;
  /** How it is asked. */
  readonly setting: QuestionSetting;
  /** What its rows share apart from the task and the setting, such as a length. */
  readonly group: string;
}

/** Identifies a sample within a run. */
function plannedId({ sample, setting }: PlannedSample): string {
  return `${sample.id} ${settingName(setting)}`;
}

/** What the rows of a sample share apart from its task. */
function variantOf({ group, setting }: PlannedSample): string {
  return [group, settingName(setting)].filter(Boolean).join(", ");
}

/**
 * Makes samples ready for a run.
 *
 * @throws {PromptError} If the longest prompt of a task is longer than the model's context: better
 * known before the first hour than after it.
 *
 * @example
 * ```ts
 * import { loadModel } from "../../runtime/model.ts";
 * import { runSamples } from "./measure_sample.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = new URL("../../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * await using model = await loadModel(folder, { precision: "fp32" });
 * // A model without a tokenizer: each letter is a token.
 * const tokenizer = { ...model.tokenizer, encode: (text: string) => Array.from(text, () => 5) };
 * const sample = {
 *   ...{ id: "1", task: "houses", context: "Mill Lane has 12 houses. ", question: "How many?" },
 *   ...{ prefix: "", answers: ["12"], maxTokens: 2, facts: {} },
 * };
 * const planned = {
 *   ...{ sample, group: "short", setting: { order: "last", visible: true } as const },
 *   metric: (output: string) => output.includes("12") ? 1 : 0,
 * };
 * const [ready] = runSamples([planned], { tokenizer, config: model.config });
 * assertEquals(ready?.id, "1 question last");
 * ```
 */
export function runSamples(
  samples: readonly PlannedSample[],
  model: Pick<Model, "tokenizer" | "config">,
): readonly RunSample[] {
  demandArray("run samples", "they", samples);
  for (const longest of longestByTask(samples)) promptOf(longest, model);
  return samples.map((planned) => ({
    id: plannedId(planned),
    measure: (measurement) => measureSample(planned, measurement),
    elsewhere: { work: workOf(planned), judge: (record) => judged(record, planned) },
  }));
}

function workOf({ sample, setting, group }: PlannedSample): SampleWork {
  return { kind: "question", sample, setting, group };
}

/** A record whose outputs were not judged where they were made. */
function judged(record: SampleRecord, { sample, metric }: PlannedSample): SampleRecord {
  const cells = record.cells.map((cell) =>
    cell.refused === undefined ? { ...cell, score: metric(cell.output, sample) } : cell
  );
  return { ...record, cells };
}

/** The sample of each task that has the longest text: likely the one with the most tokens. */
function longestByTask(samples: readonly PlannedSample[]): Iterable<PlannedSample> {
  const longest = new Map<string, PlannedSample>();
  const size = ({ sample }: PlannedSample) => sample.context.length;
  for (const planned of samples) {
    const known = longest.get(planned.sample.task);
    if (!known || size(planned) > size(known)) longest.set(planned.sample.task, planned);
  }
  return longest.values();
}

/**
 * Reads a sample's prompt once and answers it with the whole cache, and with what each policy keeps at
 * each budget. A policy that protects more than a budget keeps is recorded as a refusal.
 *
 * @throws {PromptError} If the prompt and its answer are longer than the model's context.
 */
export async function measureSample(
  planned: PlannedSample,
  measurement: SampleMeasurement,
): Promise<SampleRecord> {
  const { sample } = planned;
  const { model, policies, chunk, signal, now } = measurement;
  const { engine, tokenizer } = model;
  const { text, read, then } = promptOf(planned, model);
  const promptTokens = read.length + then.length;
  using evidence = await readEvidence({
    engine,
    facts: await model.facts(),
    ids: read,
    then,
    policies: policies.map(({ policy }) => policy),
    answerTokens: sample.maxTokens,
    ...(sample.firstLine
      ? {
        isOver: (answer) => firstLineOf(tokenizer.decode(answer, { skipSpecial: true })).complete,
      }
      : {}),
    now,
    ...(chunk === undefined ? {} : { chunk }),
    ...(signal ? { signal } : {}),
  });
  const judge = (ids: readonly number[]) => {
    const output = tokenizer.decode(ids, { skipSpecial: true });
    return { output, score: planned.metric(output, sample), outputTokens: ids.length };
  };
  const cells = await measureCells(evidence, measurement, {
    full: { ...judge(evidence.answer), decode: evidence.times.answer },
    async from(kept, by) {
      const { result, ...rest } = await evidence.answerFrom(kept, sample.maxTokens, by);
      return { ...rest, result: judge(result) };
    },
  });
  return {
    id: plannedId(planned),
    task: sample.task,
    variant: variantOf(planned),
    promptHash: await sha256(text),
    promptTokens,
    facts: sample.facts,
    prefill: evidence.times.prefill,
    cells,
  };
}

/**
 * A sample's prompt, if the model can read and answer it.
 *
 * @throws {PromptError} If the prompt and its answer are longer than the model's context.
 */
function promptOf(
  { sample, setting }: PlannedSample,
  { tokenizer, config: { context } }: Pick<Model, "tokenizer" | "config">,
): RunPrompt {
  const prompt = runPrompt(sample, setting, tokenizer);
  const tokens = prompt.read.length + prompt.then.length;
  if (tokens + sample.maxTokens <= context) return prompt;
  throw new PromptError(
    `Cannot ask ${sample.id}: its prompt has ${tokens} tokens, with ${sample.maxTokens} of the answer ` +
      `that is more than the model's context of ${context}; ask for shorter prompts`,
  );
}
