import type { ModelConfig } from "../checkpoint/checkpoint.ts";
import { PromptError } from "../errors.ts";
import { changeWithLength, layerFrequencies } from "./frequencies.ts";
import { mostHeld } from "../cache/global_layers.ts";
import type { Sequence } from "../engine/sequence.ts";
import { tokenOf, tokensRead } from "./position_map.ts";

/**
 * Refuses models whose cached keys cannot be rerotated.
 *
 * @param action What cannot be done then: "keep positions without gaps".
 * @throws {PromptError} If the model's rotary frequencies change with the length of the text.
 */
export function checkRerotatable(
  config: Pick<ModelConfig, "ropes">,
  action: string,
) {
  if (!changeWithLength(config)) return;
  throw new PromptError(
    `Cannot ${action}: this model's RoPE scaling changes with the text's length, keys that were read at different ` +
      "lengths of the text are rotated by different frequencies and cannot be rerotated together; use " +
      "a policy that leaves keys where they are, and a text within the context",
  );
}

/**
 * Rerotates all keys of a sequence to positions without gaps, in place; the next token follows them.
 *
 * Each layer's keys are rotated on by the frequencies of its own RoPE. Attention sees differences of
 * positions only, so layers that slide see the distances that they saw, and heads that hold different numbers of tokens all
 * end right before the next token: to each it is as if its own tokens stood at 0, 1, 2 and so on.
 *
 * @param first Position of the first of them. @default {0}
 * @throws {PromptError} As {@linkcode checkRerotatable} does.
 */
export async function rerotateKeys(
  sequence: Sequence,
  config: ModelConfig,
  first = 0,
): Promise<void> {
  checkRerotatable(config, "rerotate keys");
  const { cache, positionMap } = sequence;
  const read = tokensRead(sequence);
  const next = first + mostHeld(cache);
  const tokens: Int32Array[][] = [];
  for (let layer = 0; layer < cache.layers; layer++) {
    const lengths = cache.lengths(layer);
    const positions = cache.positions(layer);
    const to = lengths.map((length) =>
      Int32Array.from({ length }, (_, index) => next - length + index)
    );
    let from = 0;
    // Nothing is evicted from a layer that slides: nobody asks which tokens it holds.
    const asked = cache.window(layer) === undefined ? to : [];
    tokens.push(asked.map((places, head) => {
      const ofHead = new Int32Array(next).fill(-1);
      for (const place of places) {
        ofHead[place] = tokenOf(positionMap, layer, head, positions[from++] ?? 0);
      }
      return ofHead;
    }));
    await cache.rerotate(layer, { frequencies: layerFrequencies(config, layer, next), to });
  }
  sequence.positionMap = { base: next, shift: read - next, tokens };
  sequence.position = sequence.planned = next;
}
