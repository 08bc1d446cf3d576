import { PromptError } from "../../../runtime/errors.ts";
import type { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import type { KeptTokens } from "../../../runtime/evict/choose.ts";
import type { EvictedBy } from "../../prompt_evidence.ts";
import { readEvidence } from "../../read_evidence.ts";
import { measureCells } from "../../run/measure_cells.ts";
import type { SampleMeasurement } from "../../run/measurement.ts";
import type { SampleRecord } from "../../run/record.ts";
import { sha256 } from "../../run/sha256.ts";
import { BenchmarkError } from "../errors.ts";
import { meanNegativeLogLikelihood } from "./likelihood.ts";

/** A stretch of text: its first half is read and evicted, its second half is to be predicted. */
export interface TextWindow {
  /** What its sample is called. */
  readonly id: string;
  /** Ids that are read and evicted. */
  readonly first: readonly number[];
  /** Ids that are predicted. */
  readonly second: readonly number[];
}

/** What windows are cut out of. */
export interface WindowRequest {
  readonly text: string;
  /** Tokens of a window, both halves together. */
  readonly tokens: number;
  readonly samples: number;
}

/**
 * Cuts windows out of a text, spread evenly over it; they share nothing.
 *
 * @throws {BenchmarkError} If the text is too short.
 */
export function textWindows(
  { text, tokens, samples }: WindowRequest,
  tokenizer: Tokenizer,
): readonly TextWindow[] {
  const ids = tokenizer.encode(text, { bos: false });
  const opening = tokenizer.bosId === undefined ? [] : [tokenizer.bosId];
  const stride = Math.floor(ids.length / samples);
  if (stride < tokens) {
    throw new BenchmarkError(
      `Cannot cut ${samples} windows of ${tokens} tokens out of a text of ${ids.length}: give a longer ` +
        "text, fewer samples or shorter windows",
    );
  }
  const half = Math.ceil(tokens / 2);
  return Array.from({ length: samples }, (_, at) => {
    const window = ids.slice(at * stride, at * stride + tokens);
    return {
      id: `${tokens}-${at}`,
      first: [...opening, ...window.slice(0, half)],
      second: window.slice(half),
    };
  });
}

/** Name of the task. */
export const PERPLEXITY = "perplexity";

/**
 * How well the second half of a window is predicted from what is kept of the first. Scores are mean
 * negative log-likelihoods per token; the second half is not evicted.
 *
 * @throws {PromptError} If the window is longer than the model's context.
 */
export async function measurePerplexity(
  { id, first, second }: TextWindow,
  measurement: SampleMeasurement,
): Promise<SampleRecord> {
  const { model, policies, chunk, signal, now } = measurement;
  const { engine, config: { context } } = model;
  const promptTokens = first.length + second.length;
  if (promptTokens > context) {
    throw new PromptError(
      `Cannot read a window of ${promptTokens} tokens: the model's context is ${context}; ask for ` +
        "shorter windows",
    );
  }
  using evidence = await readEvidence({
    engine,
    facts: await model.facts(),
    ids: first,
    policies: policies.map(({ policy }) => policy),
    // The text that follows is the answer, to the one who knows it.
    answer: second,
    answerTokens: second.length,
    now,
    ...(chunk === undefined ? {} : { chunk }),
    ...(signal ? { signal } : {}),
  });
  const { logits } = evidence;
  const judged = (score: number) => ({ output: "", score, outputTokens: second.length });
  const likelihood = async (kept?: KeptTokens, by?: EvictedBy) => {
    const { result, ...rest } = await evidence.workFrom(
      kept,
      (sequence) =>
        meanNegativeLogLikelihood({
          ...{ engine, sequence, logits, ids: second },
          ...(signal ? { signal } : {}),
        }),
      by,
    );
    return { ...rest, result: judged(result) };
  };
  const full = await likelihood();
  return {
    id,
    task: PERPLEXITY,
    variant: `${promptTokens} tokens`,
    promptHash: await sha256(first.join()),
    promptTokens,
    facts: { length: promptTokens },
    prefill: evidence.times.prefill,
    cells: await measureCells(evidence, measurement, {
      full: { ...full.result, decode: full.times.work },
      from: likelihood,
    }),
  };
}
