import type { Evidence, ModelFacts } from "../../policies/policy.ts";
import { globalLayersOf } from "../cache/global_layers.ts";
import type { Engine, Gathered } from "../engine/engine.ts";
import type { Rows } from "../engine/rows.ts";
import type { Sequence } from "../engine/sequence.ts";
import type { Prefilled } from "../engine/prefill.ts";
import { resolveSoftTokens } from "../soft_tokens/read.ts";
import { greedyAnswer } from "./greedy.ts";
import { meanOverPrompt } from "./mean_over_prompt.ts";

/** What {@linkcode softBehindDraft} works on. */
export interface DraftedRequest {
  readonly engine: Engine;
  readonly sequence: Sequence;
  readonly facts: ModelFacts;
  readonly prefilled: Pick<Prefilled, "logits">;
  /** What the last prompt token attends to, per global layer. */
  readonly last: readonly Rows[];
  /** Owns what is gathered. */
  readonly scope: DisposableStack;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What soft tokens behind the beginning of the answer attend to, and the most that the last prompt token or one
 * of that beginning pays. The sequence is left as it was.
 *
 * The draft is decoded with the whole cache: as long as the model goes on the same way behind the eviction,
 * its queries are those of the answer itself. It is decoded first, as any answer is, taken back, and then
 * read again together with the soft tokens: to observe each of its steps would cost more than that.
 *
 * @param steps Tokens of the draft; it is shorter where the answer ends earlier.
 */
export async function softBehindDraft(
  { tokens }: Extract<Evidence, { kind: "soft" }>,
  steps: number,
  { engine, sequence, facts, prefilled, last, scope, signal }: DraftedRequest,
): Promise<Gathered> {
  const { embeddings, count, adapters } = await resolveSoftTokens(tokens, facts);
  const held = globalLayersOf(sequence.cache).map((layer) => sequence.cache.lengths(layer));
  const ids = await greedyAnswer({ engine, sequence, logits: prefilled.logits, steps, signal });
  const { attentionSums, mostApart = [] } = await engine.probe(sequence, {
    ids,
    embeddings,
    observe: true,
    apart: true,
    next: "nothing",
    ...(adapters ? { adapters } : {}),
  });
  for (const rows of mostApart) scope.use(rows);
  const draft: Rows[] = [];
  for (const [index, rows] of mostApart.entries()) {
    const ofPrompt = scope.use(await rows.leading(held[index] ?? []));
    const before = last[index];
    draft.push(before ? scope.use(await ofPrompt.most(before)) : ofPrompt);
  }
  return {
    attention: await meanOverPrompt(attentionSums, sequence, count, scope),
    draft,
  };
}
