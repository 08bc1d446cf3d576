import type { DropMeasure, Evidence, ModelFacts } from "../../policies/policy.ts";
import { globalLayersOf } from "../cache/global_layers.ts";
import { EvidenceError } from "../errors.ts";
import { type Engine, queryCount, type StepInput, type StepQueries } from "../engine/engine.ts";
import { holdSequence, rollbackSequence, type Sequence } from "../engine/sequence.ts";
import type { Rows } from "../engine/rows.ts";
import { resolveSoftTokens } from "../soft_tokens/read.ts";

/** Where it is measured. */
export interface DropRequest {
  readonly engine: Engine;
  readonly sequence: Sequence;
  readonly facts: ModelFacts;
  /** Owns the rows. */
  readonly scope: DisposableStack;
}

/**
 * What the outputs of the last tokens would lose without each token that is held, per global layer.
 *
 * @param size Tokens that judge, at most.
 * @param queries Queries of the last tokens, of as many or more, step by step for each global layer.
 */
export async function dropEffects(
  measure: DropMeasure,
  size: number,
  queries: readonly (readonly StepQueries[])[],
  { engine, sequence: { cache }, scope }: Omit<DropRequest, "facts">,
): Promise<readonly Rows[]> {
  const rows: Rows[] = [];
  for (const [index, layer] of globalLayersOf(cache).entries()) {
    const ofLayer = queries[index] ?? [];
    const tokens = ofLayer.reduce((sum, one) => sum + queryCount(one, engine.config), 0);
    if (tokens === 0) {
      throw new EvidenceError(
        "Cannot gather evidence: the queries of the last prompt tokens were not kept when the prompt was read",
      );
    }
    const effect = await engine.dropEffect(cache, layer, {
      queries: ofLayer,
      weights: weightsOf(Math.min(size, tokens), measure.decay),
      power: measure.power,
      projected: measure.output === "layer",
    });
    rows.push(scope.use(effect));
  }
  return rows;
}

/** The same of soft tokens behind the text, which are rolled back. */
export async function softDropEffects(
  { tokens }: Extract<Evidence, { kind: "soft" }>,
  measure: DropMeasure,
  request: DropRequest,
): Promise<readonly Rows[]> {
  const { engine, sequence, facts, scope } = request;
  const { embeddings, count, adapters } = await resolveSoftTokens(tokens, facts);
  if (adapters) {
    throw new EvidenceError(
      "Cannot measure what soft tokens with adapters would lose: give ones that were trained without",
    );
  }
  const globals = globalLayersOf(sequence.cache);
  const held = globals.map((layer) => sequence.cache.lengths(layer));
  using mark = holdSequence(sequence);
  try {
    const input: StepInput = { embeddings, queries: true, next: "nothing" };
    const { queries } = await engine.advance(sequence, input);
    using asked = new DisposableStack();
    for (const ofLayer of queries) asked.use(ofLayer);
    const ofGlobal = globals.map((layer) => queries.slice(layer, layer + 1));
    const rows: Rows[] = [];
    for (const [index, all] of (await dropEffects(measure, count, ofGlobal, request)).entries()) {
      rows.push(scope.use(await all.leading(held[index] ?? [])));
    }
    return rows;
  } finally {
    rollbackSequence(sequence, mark);
  }
}

/** Weights of queries, the last one's the largest; 1 each where they do not decay. */
function weightsOf(count: number, decay: number | undefined): Float32Array {
  if (decay === undefined) return new Float32Array(count).fill(1);
  const weights = Float32Array.from({ length: count }, (_, at) => decay ** (count - 1 - at));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}
