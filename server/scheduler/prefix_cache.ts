import type { StepOutputs } from "../../kernels/step.ts";

/** What reading a chunk of tokens gave, behind what its node's parents were given. */
export interface PrefixNode {
  readonly ids: readonly number[];
  /** New entries of each layer. */
  readonly entries: StepOutputs["entries"];
  /** Logits of the last token. */
  readonly logits: Float32Array;
  readonly bytes: number;
}

/** A place in the cache, from where chunks are looked up. */
export interface PrefixPlace {
  /** The place behind a chunk that was read here before. */
  find(
    ids: readonly number[],
  ): { readonly node: PrefixNode; readonly place: PrefixPlace } | undefined;
  /** Remembers what reading a chunk gave here. */
  add(chunk: Omit<PrefixNode, "bytes">): PrefixPlace;
}

/**
 * Beginnings of prompts that were read, as a tree of chunks. A chunk is found only behind the very
 * chunks that it was read behind, so that what it gives is what reading it again would give.
 */
export interface PrefixCache {
  /** Where prompts begin that are read in a way of this name. */
  root(name: string): PrefixPlace;
  /** Bytes of all that is remembered. */
  readonly bytes: number;
  /** Forgets what was used least recently until so many bytes are left at most. */
  shrink(bytes: number): void;
  /** Time of what was used least recently; `Infinity` where nothing is remembered. */
  readonly oldest: number;
}

interface Branch {
  readonly parent: Branch | undefined;
  readonly key: string;
  readonly node: PrefixNode | undefined;
  readonly children: Map<string, Branch>;
  used: number;
}

/**
 * An empty cache.
 *
 * @param now A clock, shared with what else is dropped when it was not used for long.
 *
 * @example
 * ```ts
 * import { createPrefixCache } from "./prefix_cache.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const cache = createPrefixCache(() => 1);
 * const chunk = { ids: [1, 2], entries: [], logits: new Float32Array(4) };
 * cache.root("").add(chunk).add({ ...chunk, ids: [3] });
 * assertEquals(cache.root("").find([1, 2])?.place.find([3])?.node.ids, [3]);
 * assertEquals(cache.root("").find([3]), undefined);
 * cache.shrink(0);
 * assertEquals(cache.bytes, 0);
 * ```
 */
export function createPrefixCache(now: () => number): PrefixCache {
  const roots = new Map<string, Branch>();
  let bytes = 0;

  const leaves = (branch: Branch): Branch[] =>
    branch.children.size === 0
      ? branch.node ? [branch] : []
      : [...branch.children.values()].flatMap(leaves);
  const oldestLeaf = (): Branch | undefined => {
    let oldest: Branch | undefined;
    for (const leaf of [...roots.values()].flatMap(leaves)) {
      if (!oldest || leaf.used < oldest.used) oldest = leaf;
    }
    return oldest;
  };
  const drop = (leaf: Branch): void => {
    leaf.parent?.children.delete(leaf.key);
    bytes -= leaf.node?.bytes ?? 0;
  };
  const attached = (branch: Branch): boolean =>
    branch.parent === undefined ||
    branch.parent.children.get(branch.key) === branch && attached(branch.parent);
  const placeOf = (branch: Branch): PrefixPlace => ({
    find(ids) {
      const found = branch.children.get(ids.join());
      if (!found?.node) return undefined;
      for (let one: Branch | undefined = found; one; one = one.parent) one.used = now();
      return { node: found.node, place: placeOf(found) };
    },
    add(chunk) {
      const key = chunk.ids.join();
      const known = branch.children.get(key);
      if (known) return placeOf(known);
      const size = chunk.entries.reduce(
        (sum, { keys, values }) => sum + keys.byteLength + values.byteLength,
        chunk.logits.byteLength,
      );
      const added: Branch = {
        parent: branch,
        key,
        node: { ...chunk, bytes: size },
        children: new Map(),
        used: now(),
      };
      // What was dropped since is not taken up again: nothing leads there.
      if (attached(branch)) {
        branch.children.set(key, added);
        bytes += size;
      }
      return placeOf(added);
    },
  });
  return {
    root(name) {
      const known = roots.get(name) ??
        { parent: undefined, key: name, node: undefined, children: new Map(), used: now() };
      roots.set(name, known);
      return placeOf(known);
    },
    get bytes() {
      return bytes;
    },
    get oldest() {
      return oldestLeaf()?.used ?? Infinity;
    },
    shrink(most) {
      while (bytes > most) {
        const leaf = oldestLeaf();
        if (!leaf) return;
        drop(leaf);
      }
      for (const [name, { children }] of roots) if (children.size === 0) roots.delete(name);
    },
  };
}
