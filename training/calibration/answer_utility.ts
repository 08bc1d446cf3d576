import { globalLayersOf } from "../../runtime/cache/global_layers.ts";
import type { Engine } from "../../runtime/engine/engine.ts";
import type { Sequence } from "../../runtime/engine/sequence.ts";
import { meanOverPrompt } from "../../runtime/evidence/mean_over_prompt.ts";
import { greedyAnswer } from "../../runtime/evidence/greedy.ts";
import type { TrainingPrompt } from "../prompts.ts";

/** A prompt that was read whole. */
export interface ReadText {
  readonly engine: Engine;
  readonly sequence: Sequence;
  /** Logits of its last token. */
  readonly logits: Float32Array;
  readonly prompt: TrainingPrompt;
  readonly signal: AbortSignal | undefined;
}

/**
 * What an answer makes of each token of a prompt: the attention of its queries times the length of what the
 * token's value adds to the layer's output, summed over the query heads of a KV head, as a share of what all
 * heads of the layer give the prompt: later layers write more into the stream, which is then longer too. The
 * answer is that of the data, or the model's own. The sequence is left as it was.
 *
 * @returns Of each KV head of the global layers, layer by layer, `[tokens]`.
 */
export async function answerUtility(
  { engine, sequence, logits, prompt: { ids, response }, signal }: ReadText,
): Promise<readonly Float64Array[]> {
  using scope = new DisposableStack();
  const { cache } = sequence;
  const { heads, kvHeads } = engine.config;
  const group = heads / kvHeads;
  if (response.kind === "repeated") throw new RangeError("a text that is repeated has no answer");
  const answer = response.kind === "original"
    ? response.ids
    : await greedyAnswer({ engine, sequence, logits, steps: response.tokens, signal });
  const { attentionSums } = await engine.probe(sequence, { ids: answer, observe: true });
  const attention = await meanOverPrompt(attentionSums, sequence, answer.length, scope);
  const utilities: Float64Array[] = [];
  for (const [index, layer] of globalLayersOf(cache).entries()) {
    const paid = await attention[index]?.floats() ?? new Float32Array();
    using rows = await engine.outputLengths(cache, layer);
    const lengths = await rows.floats();
    const whole = paid.reduce((sum, share, at) => sum + share * (lengths[at] ?? 0), 0) || 1;
    for (let head = 0; head < kvHeads; head++) {
      const utility = new Float64Array(ids.length);
      for (let row = head * group; row < (head + 1) * group; row++) {
        for (let at = 0; at < ids.length; at++) {
          const place = row * ids.length + at;
          utility[at] = (utility[at] ?? 0) + (paid[place] ?? 0) * (lengths[place] ?? 0) / whole;
        }
      }
      utilities.push(utility);
    }
  }
  return utilities;
}
