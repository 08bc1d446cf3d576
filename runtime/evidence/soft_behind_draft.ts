import type { Evidence, ModelFacts } from "../../policies/policy.ts";
import { globalLayersOf } from "../cache/global_layers.ts";
import type { Engine, Gathered } from "../engine/engine.ts";
import type { Rows } from "../engine/rows.ts";
import { holdSequence, rollbackSequence, type Sequence } from "../engine/sequence.ts";
import type { Prefilled } from "../engine/prefill.ts";
import { resolveSoftTokens } from "../soft_tokens/read.ts";
import { greedyTokens } from "./greedy.ts";
import { meanOverPrompt, scaled } from "./mean_over_prompt.ts";

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
 * What soft tokens behind the beginning of the answer attend to, and what the last prompt token and that
 * beginning do. The sequence is left as it was.
 *
 * The draft is read with the whole cache: as long as the model goes on the same way behind the eviction,
 * its queries are those of the answer itself.
 *
 * @param steps Tokens of the draft; it is shorter where the answer ends earlier.
 */
export async function softBehindDraft(
  { tokens }: Extract<Evidence, { kind: "soft" }>,
  steps: number,
  { engine, sequence, facts, prefilled, last, scope, signal }: DraftedRequest,
): Promise<Gathered> {
  const { embeddings, count, adapters } = await resolveSoftTokens(tokens, facts);
  const globals = globalLayersOf(sequence.cache);
  const held = globals.map((layer) => sequence.cache.lengths(layer));
  let sums = last;
  let judges = 1;
  let ofSoft: readonly Rows[] = [];
  using mark = holdSequence(sequence);
  try {
    const start = { engine, sequence, logits: prefilled.logits, steps, signal };
    const draft = greedyTokens(start, {
      observe: true,
      // A query is made when its token is read.
      readLast: true,
      async onRead(_, { attentionSums }) {
        for (const rows of attentionSums) scope.use(rows);
        const more: Rows[] = [];
        for (const [index, rows] of attentionSums.entries()) {
          const ofPrompt = scope.use(await rows.leading(held[index] ?? []));
          const before = sums[index];
          more.push(before ? scope.use(await ofPrompt.plus(before)) : ofPrompt);
        }
        sums = more;
        judges++;
      },
    });
    for await (const _ of draft);
    const probed = await engine.probe(sequence, {
      embeddings,
      observe: true,
      ...(adapters ? { adapters } : {}),
    });
    ofSoft = probed.attentionSums;
  } finally {
    rollbackSequence(sequence, mark);
  }
  return {
    attention: await meanOverPrompt(ofSoft, sequence, count, scope),
    draft: await scaled(sums, 1 / judges, scope),
  };
}
