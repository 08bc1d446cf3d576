import type { TokenMask } from "../token_mask.ts";
import type { Sliced } from "../slices.ts";
import type { Automaton, AutomatonState } from "./automaton.ts";

/** The tokens of a vocabulary by their bytes, so that those that begin alike are tried together. */
export interface TokenTrie {
  /** Bytes of the longest token. */
  readonly longest: number;
  /** Ids whose bytes may come, as a mask. */
  allowed<State extends AutomatonState>(
    automaton: Automaton<State>,
    state: State,
  ): Sliced<TokenMask>;
}

/** Tokens, or places in the trie, that are looked at without a look at the time. */
const SOME = 512;

/**
 * Sorts a vocabulary.
 *
 * @param bytesOf The bytes of an id; tokens without bytes are never allowed.
 */
export function* createTokenTrie(
  vocabulary: number,
  bytesOf: (id: number) => Uint8Array,
): Sliced<TokenTrie> {
  const tokens = yield* sortedTokens(vocabulary, bytesOf);
  const size = yield* countNodes(tokens);
  // Nodes in the order in which they are walked through: a node, then all below it.
  const byteAt = new Uint8Array(size);
  const depthAt = new Uint16Array(size);
  /** The first node that is not below. */
  const behind = new Uint32Array(size);
  /** The first of the tokens that end here, in the sorted list, and behind the last. */
  const firstToken = new Uint32Array(size);
  const lastToken = new Uint32Array(size);
  const ids = Uint32Array.from(tokens, ({ id }) => id);
  const path: number[] = [];
  let nodes = 0;
  let before: Uint8Array = new Uint8Array();
  for (const [index, { bytes }] of tokens.entries()) {
    if (index % SOME === 0) yield;
    const shared = sharedLength(before, bytes);
    while (path.length > shared) behind[path.pop() ?? 0] = nodes;
    for (let at = shared; at < bytes.length; at++) {
      byteAt[nodes] = bytes[at] ?? 0;
      depthAt[nodes] = at;
      path.push(nodes++);
    }
    const node = path.at(-1) ?? 0;
    if (lastToken[node] === 0) firstToken[node] = index;
    lastToken[node] = index + 1;
    before = bytes;
  }
  for (const node of path) behind[node] = nodes;
  const deepest = tokens.reduce((most, { bytes }) => Math.max(most, bytes.length), 0);

  return {
    longest: deepest,
    *allowed(automaton, state) {
      const mask = new Int32Array((vocabulary + 31) >>> 5);
      const states = Array.from({ length: deepest + 1 }, () => state);
      for (let node = 0, looked = 0; node < size;) {
        if (++looked % SOME === 0) yield;
        const depth = depthAt[node] ?? 0;
        const from = states[depth] ?? state;
        const next = automaton.step(from, byteAt[node] ?? 0);
        if (next === undefined) {
          node = behind[node] ?? size;
          continue;
        }
        states[depth + 1] = next;
        for (let token = firstToken[node] ?? 0; token < (lastToken[node] ?? 0); token++) {
          const id = ids[token] ?? 0;
          mask[id >>> 5] = (mask[id >>> 5] ?? 0) | (1 << (id & 31));
        }
        node++;
      }
      return mask;
    },
  };
}

interface TokenText {
  readonly id: number;
  readonly bytes: Uint8Array;
}

/** Tokens by their bytes: first by the first two, so that no part of it takes long. */
function* sortedTokens(
  vocabulary: number,
  bytesOf: (id: number) => Uint8Array,
): Sliced<TokenText[]> {
  const alike = new Map<number, TokenText[]>();
  for (let id = 0; id < vocabulary; id++) {
    if (id % SOME === 0) yield;
    const bytes = bytesOf(id);
    const [first, second = -1] = bytes;
    if (first === undefined) continue;
    const key = first * 257 + second + 1;
    const known = alike.get(key);
    if (known) known.push({ id, bytes });
    else alike.set(key, [{ id, bytes }]);
  }
  const sorted: TokenText[] = [];
  for (const key of [...alike.keys()].sort((a, b) => a - b)) {
    yield;
    const some = alike.get(key) ?? [];
    for (const token of some.sort((a, b) => compare(a.bytes, b.bytes))) sorted.push(token);
  }
  return sorted;
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function sharedLength(a: Uint8Array, b: Uint8Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

function* countNodes(sorted: readonly TokenText[]): Sliced<number> {
  let nodes = 0;
  let before: Uint8Array = new Uint8Array();
  for (const [index, { bytes }] of sorted.entries()) {
    if (index % SOME === 0) yield;
    nodes += bytes.length - sharedLength(before, bytes);
    before = bytes;
  }
  return nodes;
}
