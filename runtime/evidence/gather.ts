import type { Evidence, ModelFacts, QuerySource } from "../../policies/policy.ts";
import { EvidenceError, PromptError } from "../errors.ts";
import { resolveSoftTokens } from "../soft_tokens/read.ts";
import type { Engine, ExpectedRows, Gathered } from "../engine/engine.ts";
import { globalLayersOf } from "../cache/global_layers.ts";
import type { Sequence } from "../engine/sequence.ts";
import { greedyAnswer } from "./greedy.ts";
import { lookaheadAttention, type LookaheadEvidence } from "./lookahead.ts";
import type { Observed, Prefilled } from "../engine/prefill.ts";
import { dropEffects, softDropEffects } from "./drop_effects.ts";
import { softBehindDraft } from "./soft_behind_draft.ts";
import { meanOverPrompt, scaled } from "./mean_over_prompt.ts";
import { replayedAttention } from "./replay.ts";
import type { Predictions } from "./predicted.ts";
import type { PromptStatistics } from "./statistics.ts";
import { type AttentionSums, withEarlier } from "./accumulated.ts";
import type { Rows } from "../engine/rows.ts";

/** What {@linkcode gatherEvidence} works on. */
export interface EvidenceRequest {
  readonly engine: Engine;
  readonly sequence: Sequence;
  readonly facts: ModelFacts;
  readonly prefilled: Prefilled;
  /** All tokens that the sequence has read, evicted ones too. */
  readonly text: readonly number[];
  /** What was gathered on the way, if any evidence wants statistics. */
  readonly statistics?: Pick<PromptStatistics, "skipping"> | undefined;
  /** Scores that were predicted on the way, if any evidence wants them. */
  readonly predictions?: Pick<Predictions, "rows"> | undefined;
  /** Tokens that each layer keeps: a draft is evicted to them. */
  readonly keep: readonly number[];
  /** What held tokens received before, where attention is accumulated. */
  readonly earlier?: AttentionSums | undefined;
  /**
   * Whether what follows the text is an answer. None follows a document before its question, nor a piece of a
   * text before the next: the beginning of one would judge by what nobody asked.
   *
   * @default {true}
   */
  readonly answerFollows?: boolean | undefined;
  /** Owns what is gathered. */
  readonly scope: DisposableStack;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Gathers what a policy asked for. The sequence is left as it was.
 *
 * @throws {EvidenceError} If the reading did not observe what `observationFor` asks for.
 */
export async function gatherEvidence(
  evidence: Evidence,
  request: EvidenceRequest,
): Promise<Gathered> {
  const { engine, sequence, facts, prefilled, scope } = request;
  switch (evidence.kind) {
    case "none":
      return {};
    case "accumulated": {
      const { attentionSums } = observedLast(Infinity, prefilled);
      return { attention: await withEarlier(attentionSums, request.earlier, scope) };
    }
    case "window": {
      if (evidence.measure) {
        const { lastQueries } = prefilled;
        return {
          attention: await dropEffects(evidence.measure, evidence.size, lastQueries, request),
        };
      }
      const { attentionSums, queries } = observedLast(evidence.size, prefilled);
      return { attention: await scaled(attentionSums, 1 / queries, scope) };
    }
    case "statistics":
      return { expected: await expectedLogits(evidence, request) };
    case "replay":
      return { attention: await replayedAttention(evidence, request) };
    case "predicted":
      return { attention: await predictedRows(evidence, request) };
    case "lookahead":
      return { attention: await pseudoAttention(evidence, request) };
    case "soft": {
      if (evidence.measure) {
        return { attention: await softDropEffects(evidence, evidence.measure, request) };
      }
      const { answerFollows = true } = request;
      if (evidence.draft && answerFollows) {
        const { attentionSums } = observedLast(1, prefilled);
        return await softBehindDraft(evidence, evidence.draft, { ...request, last: attentionSums });
      }
      const { embeddings, count, adapters } = await resolveSoftTokens(evidence.tokens, facts);
      const { attentionSums } = await engine.probe(sequence, {
        embeddings,
        observe: true,
        next: "nothing",
        ...(adapters ? { adapters } : {}),
      });
      const attention = await meanOverPrompt(attentionSums, sequence, count, scope);
      return evidence.draft ? { attention, draft: await even(request) } : { attention };
    }
    case "given": {
      const ids = await answerIds(evidence.queries, request);
      const { attentionSums } = await engine.probe(sequence, {
        ids,
        observe: true,
        next: "nothing",
      });
      return { attention: await meanOverPrompt(attentionSums, sequence, ids.length, scope) };
    }
  }
}

/** What a draft that says nothing attends to: all alike. Layers that hold alike have the same rows. */
async function even(
  { engine, sequence: { cache }, scope }: EvidenceRequest,
): Promise<readonly Rows[]> {
  const known = new Map<string, Rows>();
  const rows: Rows[] = [];
  for (const layer of globalLayersOf(cache)) {
    const lengths = cache.lengths(layer);
    const found = known.get(lengths.join()) ?? scope.use(await engine.constantRows(1, lengths));
    known.set(lengths.join(), found);
    rows.push(found);
  }
  return rows;
}

async function predictedRows(
  evidence: Extract<Evidence, { kind: "predicted" }>,
  { sequence: { cache }, predictions, earlier, scope }: EvidenceRequest,
): Promise<readonly Rows[]> {
  if (!predictions) {
    throw new EvidenceError(
      "Cannot gather evidence: scores were not predicted when the prompt was read",
    );
  }
  const rows: Rows[] = [];
  for (const [index, layer] of globalLayersOf(cache).entries()) {
    const lengths = cache.lengths(layer);
    rows.push(scope.use(await predictions.rows(evidence, index, lengths, earlier?.[index])));
  }
  return rows;
}

async function expectedLogits(
  { skip, future }: Extract<Evidence, { kind: "statistics" }>,
  { engine, sequence, statistics, scope }: EvidenceRequest,
): Promise<readonly ExpectedRows[]> {
  const found = statistics?.skipping(skip);
  if (!found) {
    throw new EvidenceError(
      `Cannot gather evidence: the statistics of the queries without the first ${skip} were not ` +
        "gathered when the prompt was read",
    );
  }
  const logits: ExpectedRows[] = [];
  const queriesOf = found.at(sequence, future);
  for (const [index, layer] of globalLayersOf(sequence.cache).entries()) {
    const queries = queriesOf[index];
    if (!queries) throw new RangeError(`There are no statistics of layer ${layer}`);
    const { mean, variance } = await engine.expectedLogits(sequence.cache, layer, queries);
    logits.push({ mean: scope.use(mean), variance: scope.use(variance) });
  }
  return logits;
}

/** Mean over the pseudo queries and, where there is a window, the last prompt queries. */
async function pseudoAttention(
  evidence: LookaheadEvidence,
  request: EvidenceRequest,
): Promise<readonly Rows[]> {
  const { scope, prefilled } = request;
  const gathered = await gatherEvidence(evidence.draft.evidence, request);
  const pseudo = await lookaheadAttention(evidence, {
    engine: request.engine,
    sequence: request.sequence,
    logits: prefilled.logits,
    keep: request.keep,
    gathered,
    scope,
    signal: request.signal,
  });
  if (evidence.window === undefined) {
    return await scaled(pseudo.attentionSums, 1 / pseudo.queries, scope);
  }
  const last = observedLast(evidence.window, prefilled);
  const sums: Rows[] = [];
  for (const [layer, rows] of pseudo.attentionSums.entries()) {
    const others = last.attentionSums[layer];
    sums.push(others ? scope.use(await rows.plus(others)) : rows);
  }
  return await scaled(sums, 1 / (pseudo.queries + last.queries), scope);
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
    signal,
  });
}
