import type { CacheMark } from "./kv_cache.ts";

/** What a mark is checked against. */
export interface MarkedLayer {
  /** Tokens that the layer holds; of a sliding layer those that it was ever given. */
  readonly now: number;
  /** Fewest that it can be brought back to. */
  readonly least: number;
  /** Whether a sliding layer still has what a query behind so many tokens sees. */
  readonly reaches: (length: number) => boolean;
}

/** Refuses a mark of another cache, or of entries that are not held any more. */
export function checkMark(
  { lengths }: CacheMark,
  held: readonly MarkedLayer[],
  action: string,
): void {
  if (lengths.length !== held.length) {
    throw new RangeError(
      `Cannot ${action} the KV cache: the mark has ${lengths.length} layers, it must have ${held.length}`,
    );
  }
  for (const [index, { now, least, reaches }] of held.entries()) {
    const length = lengths[index] ?? NaN;
    if (!Number.isInteger(length) || length < least || length > now) {
      throw new RangeError(
        `Cannot ${action} layer ${index} of the KV cache to ${length} tokens: it holds ${now}; ` +
          "take a new mark after a compaction",
      );
    }
    if (!reaches(length)) {
      throw new RangeError(
        `Cannot ${action} layer ${index} of the KV cache to ${length} tokens: it was given ${now} ` +
          "and its window has moved on; hold a mark that is to be come back to",
      );
    }
  }
}

/** Checks indices before anything is changed. */
export function checkKept(
  kept: readonly Int32Array[],
  kvHeads: number,
  lengths: readonly number[],
): void {
  if (kept.length !== kvHeads) {
    throw new RangeError(
      `Cannot compact the KV cache: there must be indices for ${kvHeads} KV heads, got ${kept.length}`,
    );
  }
  for (const [head, indices] of kept.entries()) {
    const length = lengths[head] ?? 0;
    let last = -1;
    for (const index of indices) {
      if (index <= last || index >= length) {
        throw new RangeError(
          `Cannot compact the KV cache: indices of KV head ${head} must ascend within 0 to ` +
            `${length - 1}, got ${index} after ${last}`,
        );
      }
      last = index;
    }
  }
}

/** Refuses what is no size. */
export function requireInteger(name: string, value: number, min: number): void {
  if (!Number.isInteger(value) || value < min) {
    throw new RangeError(
      `Cannot use '${name}' for a KV cache: it must be an integer of at least ${min}, got ${value}`,
    );
  }
}

/**
 * Checks values that are to stand in the place of others.
 *
 * @throws {RangeError} If they are not as many.
 */
export function checkValues(
  layer: number,
  values: readonly Float32Array[],
  { lengths, headDim }: { readonly lengths: readonly number[]; readonly headDim: number },
): void {
  const fits = values.length === lengths.length &&
    values.every(({ length }, head) => length === (lengths[head] ?? 0) * headDim);
  if (fits) return;
  throw new RangeError(
    `Cannot set the values of layer ${layer} of the KV cache: its KV heads hold ${
      lengths.join(", ")
    } ` +
      `tokens of ${headDim} numbers, got ${values.map(({ length }) => length).join(", ")} numbers`,
  );
}

/** Why values of a sliding layer stay. */
export function cannotSetValues(layer: number): RangeError {
  return new RangeError(
    `Cannot set the values of layer ${layer} of the KV cache: it slides, nothing is evicted from it`,
  );
}
