import type { Evidence, ModelFacts } from "../../policies/policy.ts";
import type { Gathered } from "../engine/engine.ts";
import { type Observation, prefill, type PrefillOptions } from "../engine/prefill.ts";
import { PolicyError } from "../errors.ts";
import { resolveSoftTokens } from "../soft_tokens/read.ts";
import { type EvidenceRequest, gatherEvidence } from "./gather.ts";
import { predictScores } from "./predicted.ts";
import { gatherPromptStatistics, type PromptStatistics } from "./statistics.ts";

/**
 * What must be observed while the prompt is read.
 *
 * @throws {PolicyError} If the policy asks for a window without tokens.
 */
export function observationFor(evidence: Evidence): Observation {
  switch (evidence.kind) {
    case "window":
      return evidence.measure ? "none" : [windowSize(evidence.size)];
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
    case "soft":
      return evidence.draft ? [1] : "none";
    case "none":
    case "given":
    case "statistics":
    case "replay":
    case "predicted":
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

/** How many of the last queries some evidence must be shown, besides what is observed of them. */
function queriesFor(evidence: readonly Evidence[]): number {
  const sizes = evidence.map((one) =>
    one.kind === "window" && one.measure
      ? windowSize(one.size)
      : one.kind === "lookahead"
      ? queriesFor([one.draft.evidence])
      : 0
  );
  return Math.max(0, ...sizes);
}

/** What must be observed for several kinds of evidence. */
function observationForAll(evidence: readonly Evidence[]): Observation {
  const windows = evidence.flatMap((one) => {
    const observation = observationFor(one);
    return observation === "none" ? [] : observation;
  });
  return windows.length === 0 ? "none" : [...new Set(windows)];
}

/** How {@linkcode observePrompt} reads. */
export interface ObservedReading
  extends
    Pick<EvidenceRequest, "engine" | "sequence" | "facts" | "answerFollows">,
    Pick<PrefillOptions, "chunk" | "room" | "signal" | "onProgress"> {
  /** Tokens that are read behind what the sequence holds. */
  readonly ids: readonly number[];
  /** What it has read before, evicted tokens too. @default {nothing} */
  readonly before?: readonly number[] | undefined;
  /** All that will be asked for. */
  readonly evidence: readonly Evidence[];
  /**
   * Statistics of what was read before, which what is read now is added to.
   *
   * @default {of what is read now}
   */
  readonly statistics?: PromptStatistics | undefined;
  /** Owns what is observed and gathered. */
  readonly scope: DisposableStack;
}

/** What was gathered evidence from before, or is to be evicted to. */
export type GatherOptions = Pick<EvidenceRequest, "keep" | "earlier">;

/** A prompt that was read, and observed on the way. */
export interface ObservedPrompt {
  /** Logits of its last token. */
  readonly logits: Float32Array;
  /** Gathers evidence that was announced. The sequence is left as it was. */
  gather(evidence: Evidence, options: GatherOptions): Promise<Gathered>;
}

/** Tokens that are read behind a prompt to judge it, at most: without room for them the cache would grow. */
async function roomFor(evidence: readonly Evidence[], facts: ModelFacts): Promise<number> {
  let room = 0;
  for (const one of evidence) {
    if (one.kind === "soft") {
      const { count } = await resolveSoftTokens(one.tokens, facts);
      room = Math.max(room, (one.draft ?? 0) + count);
    } else if (one.kind === "given") {
      const { queries } = one;
      room = Math.max(room, queries.kind === "tokens" ? queries.ids.length : queries.steps);
    }
  }
  return room;
}

/** Reads tokens behind what a sequence holds, and observes what evidence is made of. */
export async function observePrompt(
  { engine, sequence, ids, before = [], evidence, facts, chunk, room = 0, scope, signal, ...given }:
    ObservedReading,
): Promise<ObservedPrompt> {
  const { statistics = scope.use(gatherPromptStatistics(evidence, engine)), onProgress } = given;
  const { answerFollows } = given;
  const predictions = scope.use(predictScores(evidence, engine));
  const prefilled = await prefill(engine, sequence, ids, {
    chunk,
    observe: observationForAll(evidence),
    lastQueries: queriesFor(evidence),
    onQueries: statistics.onQueries,
    onInputs: predictions.onInputs,
    room: Math.max(room, await roomFor(evidence, facts)),
    scope,
    signal,
    onProgress,
  });
  const text = [...before, ...ids];
  const from = { engine, sequence, facts, prefilled, text, statistics, predictions, scope, signal };
  return {
    logits: prefilled.logits,
    gather: (one, { keep, earlier }) =>
      gatherEvidence(one, { ...from, answerFollows, keep, earlier }),
  };
}
