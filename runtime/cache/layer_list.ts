import { KvjudgeError } from "../errors.ts";
import { checkMark, type MarkedLayer } from "./cache_checks.ts";
import type { CacheMark } from "./kv_cache.ts";

/** What the layers of every home have. */
export interface LayerLengths {
  /** Tokens of each KV head. */
  lengths: number[];
}

/** The layers of a cache, until they are freed. */
export interface LayerList<Layer> {
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
  /** Refuses a mark that the layers cannot be brought back to. */
  check(mark: CacheMark, action: string): void;
  /** Whether they can. */
  canRollBack(mark: CacheMark): boolean;
  /** Brings the lengths back to those at a mark. */
  rollback(mark: CacheMark): void;
  /** Frees all memory of the cache, once. */
  free(): void;
}

/** What is done to layers of a kind. */
export interface LayerWays<Layer> {
  /** Gives the memory of a layer back. */
  readonly free: (layer: Layer) => void;
  /** What a mark of a layer is checked against. */
  readonly marked: (layer: Layer) => MarkedLayer;
  /** Brings a layer back to so many tokens, which it can be. */
  readonly rollBack: (layer: Layer, length: number) => void;
}

/** Keeps the layers of a cache, and refuses what reaches for them when they are freed. */
export function layerList<Layer>(
  layers: readonly Layer[],
  { free, marked, rollBack }: LayerWays<Layer>,
): LayerList<Layer> {
  let freed = false;
  const all = (): readonly Layer[] => {
    if (!freed) return layers;
    throw new KvjudgeError("Cannot use a KV cache after its disposal: create a new one");
  };
  const check = (mark: CacheMark, action: string): void =>
    checkMark(mark, all().map(marked), action);
  return {
    all,
    check,
    at(index) {
      const found = all()[index];
      if (found !== undefined) return found;
      throw new RangeError(
        `Cannot reach layer ${index} of the KV cache: it has layers 0 to ${layers.length - 1}`,
      );
    },
    mark: () => ({ lengths: all().map((layer) => marked(layer).now) }),
    canRollBack({ lengths }) {
      const held = all().map(marked);
      return lengths.length === held.length && held.every((layer, index) => {
        const length = lengths[index] ?? NaN;
        return length >= layer.least && length <= layer.now && layer.reaches(length);
      });
    },
    rollback(mark) {
      check(mark, "roll back");
      all().forEach((layer, index) => rollBack(layer, mark.lengths[index] ?? 0));
    },
    free() {
      if (freed) return;
      layers.forEach(free);
      freed = true;
    },
  };
}

/** A layer that keeps all that it was not told to drop. */
export function markedLayer(layer: LayerLengths): MarkedLayer {
  const now = longest(layer);
  return { now, least: now - Math.min(...layer.lengths), reaches: () => true };
}

/** Drops what heads hold behind their first tokens, so many of the longest. */
export function dropLast(layer: LayerLengths, length: number): void {
  layer.lengths = lengthsAt(layer, length);
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
