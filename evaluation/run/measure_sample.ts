import type { Policy } from "../../policies/policy.ts";
import { BudgetError, PromptError } from "../../runtime/errors.ts";
import type { Model } from "../../runtime/model.ts";
import type { BenchmarkMetric, BenchmarkSample } from "../benchmarks/benchmark.ts";
import type { NamedBudget } from "../hit_rate.ts";
import type { NamedPolicy } from "../policy_list.ts";
import { type PromptEvidence, readEvidence } from "../prompt_evidence.ts";
import type { CellRecord, SampleRecord } from "./record.ts";
import { type QuestionSetting, type RunPrompt, runPrompt, settingName } from "./run_prompt.ts";

/** A sample in one of the ways in which it is asked. */
export interface PlannedSample {
  readonly sample: BenchmarkSample;
  readonly metric: BenchmarkMetric;
  readonly setting: QuestionSetting;
  /** What its rows share besides the task and the setting, such as a length. */
  readonly group: string;
}

/** What samples are measured with. */
export interface SampleMeasurement {
  readonly model: Pick<Model, "engine" | "tokenizer" | "facts" | "config">;
  /** Policies besides the whole cache, which is always measured. */
  readonly policies: readonly NamedPolicy[];
  readonly budgets: readonly NamedBudget[];
  /** Prompt tokens read at a time. @default {256} */
  readonly chunk?: number;
  readonly signal?: AbortSignal;
  /** Milliseconds, to measure phases with. */
  readonly now: () => number;
}

/** Name of the whole cache among the policies. */
export const FULL = "full";

/** Identifies a sample within a run. */
export function plannedId({ sample, setting }: PlannedSample): string {
  return `${sample.id} ${settingName(setting)}`;
}

/** What the rows of a sample share besides its task. */
export function variantOf({ group, setting }: PlannedSample): string {
  return [group, settingName(setting)].filter(Boolean).join(", ");
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
  const { model, policies, budgets, chunk, signal, now } = measurement;
  const { engine, tokenizer, config: { layers, kvHeads } } = model;
  const { text, read, then } = promptOf(planned, model);
  const promptTokens = read.length + then.length;
  using evidence = await readEvidence({
    engine,
    facts: await model.facts(),
    ids: read,
    then,
    policies: policies.map(({ policy }) => policy),
    answerTokens: sample.maxTokens,
    now,
    ...(chunk === undefined ? {} : { chunk }),
    ...(signal ? { signal } : {}),
  });
  const total = read.length * layers * kvHeads;
  const judge = (ids: readonly number[]) => {
    const output = tokenizer.decode(ids, { skipSpecial: true });
    return { output, score: planned.metric(output, sample), outputTokens: ids.length };
  };
  const full: CellRecord = {
    policy: FULL,
    budget: null,
    ...judge(evidence.answer),
    kept: [total, total],
    bytes: [evidence.bytes, evidence.bytes],
    times: { evict: 0, decode: evidence.times.answer },
  };
  const cells = [full];
  for (const { label, policy } of policies) {
    if (policy.evicts === false) continue;
    for (const { label: budget, budget: amount } of budgets) {
      signal?.throwIfAborted();
      const answer = await answerWith(evidence, policy, amount, sample.maxTokens, now);
      const base = { policy: label, budget };
      cells.push(
        "refused" in answer ? { ...full, ...base, ...REFUSED, refused: answer.refused } : {
          ...base,
          ...judge(answer.ids),
          kept: [answer.kept, total],
          bytes: [evidence.bytes, answer.bytes],
          times: answer.times,
        },
      );
    }
  }
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
export function promptOf(
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

const REFUSED = {
  output: "",
  score: 0,
  outputTokens: 0,
  times: { evict: 0, decode: 0 },
} as const;

interface Answer {
  readonly ids: readonly number[];
  readonly kept: number;
  readonly bytes: number;
  readonly times: CellRecord["times"];
}

async function answerWith(
  evidence: PromptEvidence,
  policy: Policy,
  budget: NamedBudget["budget"],
  tokens: number,
  now: () => number,
): Promise<Answer | { readonly refused: string }> {
  try {
    const begun = now();
    const kept = await evidence.keep(policy, budget);
    const chosen = now() - begun;
    const { ids, bytes, times } = await evidence.answerFrom(kept, tokens);
    return {
      ids,
      bytes,
      kept: kept.flat().reduce((sum, { length }) => sum + length, 0),
      times: {
        evict: evidence.evidenceTime(policy) + chosen + times.compact,
        decode: times.decode,
      },
    };
  } catch (error) {
    if (error instanceof BudgetError) return { refused: error.message };
    throw error;
  }
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
