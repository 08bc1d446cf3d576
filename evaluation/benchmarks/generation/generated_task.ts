import {
  type BenchmarkMetric,
  type BenchmarkSample,
  type GeneratedTask,
  type GenerationRequest,
  promptText,
} from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";

/** What a task makes of one size: the sample without what all samples of the task share. */
export type Draft = Pick<
  BenchmarkSample,
  "context" | "question" | "prefix" | "answers" | "facts"
>;

/** Makes one sample at any size. Must be pure; a greater size must not make a shorter prompt. */
export type DraftAt = (size: number) => Draft;

/** What a task knows of a request before its first sample. */
export interface Preparation {
  /** Least size that makes sense: words, lines or whatever the task is filled up with. */
  readonly min: number;
  /** Opens a sample, by its number. */
  open(index: number): DraftAt;
}

/** A task as its own file describes it. */
export interface TaskPlan {
  readonly name: string;
  readonly summary: string;
  readonly metricName: string;
  readonly metric: BenchmarkMetric;
  readonly maxTokens: number;
  prepare(request: GenerationRequest): Preparation;
}

/** Shares of the length asked for: the least that is allowed, what is accepted at once, the aim. */
const LEAST = 0.98;
const ACCEPTED = 0.985;
const AIM = 0.993;

/** Sizes by which the first sample is enlarged to see how fast it grows. */
const PROBE = 64;

/** Guesses along a line before halving. */
const LINEAR_GUESSES = 6;

/**
 * Makes a task whose prompts have the length that is asked for. Counting tokens is most of the work:
 * prompts grow almost linearly with their size, so one or two counts find a size that fits.
 */
export function createGeneratedTask(plan: TaskPlan): GeneratedTask {
  const { name, summary, metricName, metric } = plan;
  return { name, summary, metricName, metric, generate: (request) => generate(plan, request) };
}

function* generate(plan: TaskPlan, request: GenerationRequest): Iterable<BenchmarkSample> {
  checkRequest(plan.name, request);
  const { tokens, samples } = request;
  if (samples === 0) return;
  const { min, open } = plan.prepare(request);
  const measure = createMeasure(request);
  const base = measure(open(0)(min)).last;
  const growth = (measure(open(0)(min + PROBE)).last - base) / PROBE;
  if (!(growth > 0)) {
    throw new BenchmarkError(
      `Cannot make samples of ${plan.name}: countTokens gives ${base} for a text and no more for a ` +
        "longer one; give one that counts the tokens of the whole text",
    );
  }
  const guess = min + Math.max(0, (AIM * tokens - base) / growth);
  for (let index = 0; index < samples; index++) {
    const { draft, count } = fit(
      { name: plan.name, tokens, min, guess, growth, measure },
      open(index),
    );
    yield {
      ...draft,
      id: `${plan.name}-${tokens}-${index}`,
      task: plan.name,
      maxTokens: plan.maxTokens,
      facts: { length: tokens, promptTokens: count, ...draft.facts },
    };
  }
}

function checkRequest(name: string, { tokens, samples, seed }: GenerationRequest): void {
  const check = (what: string, value: number, min: number) => {
    if (Number.isSafeInteger(value) && value >= min) return;
    throw new BenchmarkError(
      `Cannot make samples of ${name}: ${what} must be a whole number, at least ${min}, got ${value}`,
    );
  };
  check("tokens", tokens, 1);
  check("samples", samples, 0);
  check("seed", seed, Number.MIN_SAFE_INTEGER);
}

/** Tokens of a draft with the question last; whether it fits in both orders. */
type Measure = (draft: Draft) => { readonly last: number; readonly fits: boolean };

function createMeasure({ countTokens, tokens }: GenerationRequest): Measure {
  return (draft) => {
    const last = countTokens(promptText(draft, "last"));
    // The other order has a few tokens more or less: it decides nothing far from the bound.
    const decided = last > tokens || last < ACCEPTED * tokens;
    return {
      last,
      fits: decided ? last <= tokens : countTokens(promptText(draft, "first")) <= tokens,
    };
  };
}

interface FitRequest {
  readonly name: string;
  readonly tokens: number;
  readonly min: number;
  readonly guess: number;
  readonly growth: number;
  readonly measure: Measure;
}

/** The sample at a size that fills the length asked for. */
function fit(
  { name, tokens, min, guess, growth, measure }: FitRequest,
  draftAt: DraftAt,
): { readonly draft: Draft; readonly count: number } {
  let size = Math.round(guess);
  let below: { readonly draft: Draft; readonly count: number } | undefined;
  let low = min - 1;
  let high = Infinity;
  for (let step = 0;; step++) {
    const draft = draftAt(size);
    const { last: count, fits } = measure(draft);
    if (fits && count >= ACCEPTED * tokens) return { draft, count };
    if (fits) [low, below] = [size, { draft, count }];
    else high = size;
    if (high - low <= 1) break;
    const halved = step >= LINEAR_GUESSES && high < Infinity;
    const next = halved ? (low + high) / 2 : size + (AIM * tokens - count) / growth;
    size = Math.min(Math.max(Math.round(next), low + 1), high - 1);
  }
  if (below && below.count >= LEAST * tokens) return below;
  const { last } = measure(draftAt(high));
  throw new BenchmarkError(
    below
      ? `Cannot make a prompt of ${name} with ${tokens} tokens: the next that it can have are ` +
        `${below.count} and ${last}; ask for more tokens`
      : `Cannot make a prompt of ${name} with ${tokens} tokens: the shortest has ${last}; ask for ` +
        "more tokens",
  );
}
