import type { KvCache } from "../cache/kv_cache.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";
import { PromptError } from "../errors.ts";
import { rotaryFrequencies } from "../rotary.ts";
import type { Sequence } from "./engine.ts";

/** Which tokens of the text the entries are, since keys were turned to other positions. */
export interface Turned {
  /** Position of the first entry that was not turned. */
  readonly base: number;
  /** Added to the position of such an entry, it is the number of its token in the text. */
  readonly shift: number;
  /** `[layer][KV head]`: numbers of the tokens at each position below the base, -1 for none. */
  readonly tokens: readonly (readonly Int32Array[])[];
}

/** Tokens that a sequence has read, evicted ones too. */
export function tokensRead({ position, turned }: Sequence): number {
  return position + (turned?.shift ?? 0);
}

/**
 * Number of the token in the text that an entry is.
 *
 * @param position What its key is rotated at.
 */
export function tokenOf(
  turned: Turned | undefined,
  layer: number,
  kvHead: number,
  position: number,
): number {
  if (!turned) return position;
  if (position >= turned.base) return position + turned.shift;
  return turned.tokens[layer]?.[kvHead]?.[position] ?? -1;
}

/**
 * Refuses models whose cached keys cannot be turned.
 *
 * @param action What cannot be done then: "keep positions without gaps".
 * @throws {PromptError} If the model's rotary frequencies change with the length of the text.
 */
export function checkTurnable({ ropeScaling }: Pick<ModelConfig, "ropeScaling">, action: string) {
  if (ropeScaling.kind !== "dynamic") return;
  throw new PromptError(
    `Cannot ${action}: this model's RoPE scaling is dynamic, keys that were read at different ` +
      "lengths of the text are rotated by different frequencies and cannot be turned together; use " +
      "a policy that leaves keys where they are, and a text within the context",
  );
}

/**
 * Turns all keys of a sequence to positions without gaps, in place; the next token follows them.
 *
 * Attention sees differences of positions only, so heads that hold different numbers of tokens all
 * end right before the next token: to each it is as if its own tokens stood at 0, 1, 2 and so on.
 *
 * @throws {PromptError} As {@linkcode checkTurnable} does.
 */
export function turnKeys(sequence: Sequence, config: ModelConfig): void {
  checkTurnable(config, "turn keys to other positions");
  const { cache, turned } = sequence;
  const read = tokensRead(sequence);
  const next = Math.max(0, ...cache.mark().lengths);
  const frequencies = rotaryFrequencies(config, next);
  const tokens = Array.from({ length: cache.layers }, (_, layer) => {
    const ofHeads = cache.lengths(layer).map(() => new Int32Array(next).fill(-1));
    const lengths = cache.lengths(layer);
    cache.move(layer, (key, { kvHead, index, position }) => {
      const to = next - (lengths[kvHead] ?? 0) + index;
      const ofHead = ofHeads[kvHead];
      if (ofHead) ofHead[to] = tokenOf(turned, layer, kvHead, position);
      turnKey(key, frequencies, position, to);
      return to;
    });
    return ofHeads;
  });
  sequence.turned = { base: next, shift: read - next, tokens };
  sequence.position = sequence.planned = next;
}

/**
 * Turns a rotated key from one position to another, in place.
 *
 * Both angles are rounded as the key's own was, so that it becomes what it would have been there.
 *
 * @param key `[headDim]`, its first half paired with its second.
 * @param frequencies `[headDim / 2]`.
 */
export function turnKey(
  key: Float32Array,
  frequencies: Float32Array,
  from: number,
  to: number,
): void {
  if (from === to) return;
  const half = frequencies.length;
  for (let i = 0; i < half; i++) {
    const frequency = frequencies[i] ?? 0;
    const angle = Math.fround(to * frequency) - Math.fround(from * frequency);
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const [a, b] = [key[i] ?? 0, key[half + i] ?? 0];
    key[i] = a * cos - b * sin;
    key[half + i] = b * cos + a * sin;
  }
}

/** Whether the entries of a cache have gaps between their positions. */
export function hasGaps(
  { cache, position }: { readonly cache: KvCache; readonly position: number },
) {
  return Math.max(0, ...cache.mark().lengths) < position;
}
