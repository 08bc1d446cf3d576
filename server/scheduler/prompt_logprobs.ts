import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import type { ScoredToken } from "./events.ts";
import { tokenOf } from "./token_of.ts";
import { scoresOf } from "./write_answer.ts";

/** Gathers how likely the tokens of a prompt are, chunk by chunk. */
export interface PromptLogprobs {
  add(ids: readonly number[], logits: Float32Array): void;
  readonly tokens: readonly ScoredToken[];
}

/**
 * What a prompt's own tokens are worth.
 *
 * @param count Alternatives of each.
 */
export function createPromptLogprobs(tokenizer: Tokenizer, count: number): PromptLogprobs {
  const tokens: ScoredToken[] = [];
  let before: Float32Array | undefined;
  return {
    tokens,
    add(ids, logits) {
      const vocabulary = logits.length / ids.length;
      for (const [index, id] of ids.entries()) {
        const scored = before ? scoresOf(tokenizer, before, id, count) : {};
        tokens.push({ ...tokenOf(tokenizer, id), ...scored });
        before = logits.slice(index * vocabulary, (index + 1) * vocabulary);
      }
    },
  };
}
