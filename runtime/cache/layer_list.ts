import { KvjudgeError } from "../errors.ts";
import { checkMark } from "./cache_checks.ts";
import type { CacheMark } from "./kv_cache.ts";

/** What the layers of every home have. */
export interface LayerLengths {
  /** Tokens of each KV head. */
  lengths: number[];
}

/** The layers of a cache, until they are freed. */
export interface LayerList<Layer extends LayerLengths> {
  /**
   * All of them.
   *
   * @throws {KvjudgeError} If they were freed.
   */
  all(): readonly Layer[];
  /**
   * One of them.
   *
   * @throws {RangeError} If there is none of that number.
   */
  at(index: number): Layer;
  /** Lengths now. */
  mark(): CacheMark;
  /** Brings the lengths back to those at a mark. */
  rollback(mark: CacheMark): void;
  /** Frees all memory of the cache, once. */
  free(): void;
}

/**
 * Keeps the layers of a cache, and refuses what reaches for them when they are freed.
 *
 * @param freeLayer Gives the memory of a layer back.
 */
export function layerList<Layer extends LayerLengths>(
  layers: readonly Layer[],
  freeLayer: (layer: Layer) => void,
): LayerList<Layer> {
  let freed = false;
  const all = (): readonly Layer[] => {
    if (!freed) return layers;
    throw new KvjudgeError("Cannot use a KV cache after its disposal: create a new one");
  };
  return {
    all,
    at(index) {
      const found = all()[index];
      if (found !== undefined) return found;
      throw new RangeError(
        `Cannot reach layer ${index} of the KV cache: it has layers 0 to ${layers.length - 1}`,
      );
    },
    mark: () => ({ lengths: all().map(longest) }),
    rollback(mark) {
      const held = all();
      checkMark(mark, held, "roll back");
      held.forEach((layer, index) => layer.lengths = lengthsAt(layer, mark.lengths[index]));
    },
    free() {
      if (freed) return;
      layers.forEach(freeLayer);
      freed = true;
    },
  };
}

/** Tokens of the head that holds most. */
export function longest({ lengths }: { readonly lengths: readonly number[] }): number {
  return lengths.reduce((max, length) => Math.max(max, length), 0);
}

/** What each head held when the longest held so many tokens: appending adds to all alike. */
export function lengthsAt(layer: LayerLengths, length = longest(layer)): number[] {
  const dropped = longest(layer) - length;
  return layer.lengths.map((ofHead) => ofHead - dropped);
}
