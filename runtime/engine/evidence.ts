import { createExpectedLogitsKernel, type QueryGaussian } from "../../kernels/expected_logits.ts";
import type {
  Evidence,
  ExpectedLogits,
  ModelFacts,
  QuerySource,
  SoftTokens,
} from "../../policies/policy.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";
import { EvidenceError, PolicyError, PromptError } from "../errors.ts";
import { adapterShape } from "../soft_adapters.ts";
import { resolveSoftTokens } from "../soft_tokens.ts";
import type { Engine, Sequence } from "./engine.ts";
import { greedyAnswer } from "./greedy_answer.ts";
import { joined, keysByHead } from "./keys_by_head.ts";
import { lookaheadAttention, type LookaheadEvidence } from "./lookahead.ts";
import type { Observation, Observed, Prefilled } from "./prefill.ts";
import type { PromptStatistics } from "./query_statistics.ts";
import { type Received, withEarlier } from "./received.ts";
import { leadingRows } from "./received_rows.ts";

/** What was gathered for a policy, per layer. */
export interface Gathered {
  /** Attention to each cached token, `[heads × length]`; absent where there are no queries. */
  readonly attention?: readonly Float32Array[];
  /** Absent without statistics. */
  readonly expected?: readonly ExpectedLogits[];
}

/**
 * What must be observed while the prompt is read.
 *
 * @throws {PolicyError} If the policy asks for a window without tokens.
 */
export function observationFor(evidence: Evidence): Observation {
  switch (evidence.kind) {
    case "window":
      return [windowSize(evidence.size)];
    case "lookahead": {
      const ofDraft = observationFor(evidence.draft.evidence);
      const sizes = [
        ...(ofDraft === "none" ? [] : ofDraft),
        ...(evidence.window === undefined ? [] : [windowSize(evidence.window)]),
      ];
      return sizes.length > 0 ? [...new Set(sizes)] : "none";
    }
    case "accumulated":
      return [Infinity];
    case "none":
    case "soft":
    case "given":
    case "statistics":
      return "none";
  }
}

function windowSize(size: number): number {
  if (Number.isInteger(size) && size >= 1) return size;
  throw new PolicyError(
    "Cannot gather evidence: the size of the policy's window must be an integer of at least 1, " +
      `got ${size}`,
  );
}

/**
 * The soft tokens that evidence needs. To be asked before a prompt is read, so that a file that does
 * not fit costs no reading.
 *
 * @throws {CheckpointError} If they do not fit the model.
 */
export async function softTokensFor(
  evidence: Evidence,
  facts: ModelFacts,
  config: ModelConfig,
): Promise<SoftTokens | undefined> {
  if (evidence.kind !== "soft") return undefined;
  const tokens = await resolveSoftTokens(evidence.tokens, facts);
  if (tokens.adapters) adapterShape(tokens.adapters, config);
  return tokens;
}

/** What {@linkcode gatherEvidence} works on. */
export interface EvidenceRequest {
  readonly engine: Engine;
  readonly sequence: Sequence;
  readonly facts: ModelFacts;
  readonly prefilled: Prefilled;
  /** What was gathered on the way, if any evidence wants statistics. */
  readonly statistics?: Pick<PromptStatistics, "skipping">;
  /** Tokens that each layer keeps: a draft is evicted to them. */
  readonly keep: readonly number[];
  /** What held tokens received before, where attention is accumulated. */
  readonly earlier?: Received;
  readonly signal?: AbortSignal;
}

/**
 * Gathers what a policy asked for. The sequence is left as it was.
 *
 * @throws {EvidenceError} If the reading did not observe what {@linkcode observationFor} asks for.
 */
export async function gatherEvidence(
  evidence: Evidence,
  request: EvidenceRequest,
): Promise<Gathered> {
  const { engine, sequence, facts, prefilled } = request;
  switch (evidence.kind) {
    case "none":
      return {};
    case "accumulated": {
      const { received, queries } = observedLast(Infinity, prefilled);
      const { heads, kvHeads } = engine.config;
      const since = { cache: sequence.cache, read: queries, group: heads / kvHeads };
      return { attention: withEarlier(received, request.earlier, since) };
    }
    case "window": {
      const { received, queries } = observedLast(evidence.size, prefilled);
      return { attention: received.map((sums) => scaled(sums, 1 / queries)) };
    }
    case "statistics":
      return { expected: await expectedLogits(evidence, request) };
    case "lookahead":
      return { attention: await pseudoAttention(evidence, request) };
    case "soft": {
      const { embeddings, count, adapters } = await resolveSoftTokens(evidence.tokens, facts);
      const { received } = await engine.probe(sequence, {
        embeddings,
        observe: true,
        ...(adapters ? { adapters } : {}),
      });
      return { attention: meanOverPrompt(received, sequence, count) };
    }
    case "given": {
      const ids = await answerIds(evidence.queries, request);
      const { received } = await engine.probe(sequence, { ids, observe: true });
      return { attention: meanOverPrompt(received, sequence, ids.length) };
    }
  }
}

async function expectedLogits(
  { skip, future }: Extract<Evidence, { kind: "statistics" }>,
  { engine: { config, threads }, sequence, statistics }: EvidenceRequest,
): Promise<readonly ExpectedLogits[]> {
  const found = statistics?.skipping(skip);
  if (!found) {
    throw new EvidenceError(
      `Cannot gather evidence: the statistics of the queries without the first ${skip} were not ` +
        "gathered when the prompt was read",
    );
  }
  await using kernel = await createExpectedLogitsKernel(config, threads);
  const ofHead = ({ mean, covariance }: QueryGaussian, head: number): QueryGaussian => {
    const part = (all: Float32Array) => {
      const size = all.length / config.kvHeads;
      return all.subarray(head * size, (head + 1) * size);
    };
    return { mean: part(mean), covariance: part(covariance) };
  };
  const logits: ExpectedLogits[] = [];
  for (const [layer, queries] of found.at(sequence, future).entries()) {
    const moments: ExpectedLogits[] = [];
    for (const { keys, head } of keysByHead(sequence.cache, layer)) {
      moments.push(await kernel.run(keys, head === undefined ? queries : ofHead(queries, head)));
    }
    logits.push({
      mean: joined(moments.map(({ mean }) => mean)),
      variance: joined(moments.map(({ variance }) => variance)),
    });
  }
  return logits;
}

/** Mean over the pseudo queries and, where there is a window, the last prompt queries. */
async function pseudoAttention(
  evidence: LookaheadEvidence,
  request: EvidenceRequest,
): Promise<readonly Float32Array[]> {
  const pseudo = await lookaheadAttention(evidence, request);
  if (evidence.window === undefined) {
    return pseudo.received.map((sums) => scaled(sums, 1 / pseudo.queries));
  }
  const last = observedLast(evidence.window, request.prefilled);
  const queries = pseudo.queries + last.queries;
  return pseudo.received.map((sums, layer) =>
    sums.map((sum, index) => (sum + (last.received[layer]?.[index] ?? 0)) / queries)
  );
}

function observedLast(last: number, { observed }: Prefilled): Observed {
  const found = observed.find((one) => one.last === last);
  if (found) return found;
  throw new EvidenceError(
    `Cannot gather evidence: the attention of the last ${last} prompt tokens was not observed when ` +
      "the prompt was read",
  );
}

async function answerIds(
  queries: QuerySource,
  { engine, sequence, prefilled, signal }: EvidenceRequest,
): Promise<readonly number[]> {
  const { vocabulary } = engine.config;
  if (queries.kind === "tokens") {
    if (queries.ids.length === 0) {
      throw new PromptError(
        "Cannot use an answer without tokens as evidence: give at least one id",
      );
    }
    const unknown = queries.ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary);
    if (unknown === undefined) return queries.ids;
    throw new PromptError(
      `Cannot use ${unknown} as a token of the answer: ids must be integers from 0 to ${
        vocabulary - 1
      }`,
    );
  }
  return await greedyAnswer({
    engine,
    sequence,
    logits: prefilled.logits,
    steps: queries.steps,
    ...(signal ? { signal } : {}),
  });
}

/** The prompt's columns of `[heads, length + queries]`, divided by the number of queries. */
export function meanOverPrompt(
  received: readonly Float32Array[],
  { cache }: Sequence,
  queries: number,
): Float32Array[] {
  return received.map((sums, layer) => {
    const lengths = cache.lengths(layer);
    const columns = lengths.reduce((sum, length) => sum + length + queries, 0);
    return scaled(leadingRows(sums, sums.length / columns, lengths, queries), 1 / queries);
  });
}

function scaled(values: Float32Array, factor: number): Float32Array {
  return values.map((value) => value * factor);
}
