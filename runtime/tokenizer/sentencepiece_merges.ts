/**
 * Derives merge rules from a scored vocabulary, as SentencePiece applies them: of all neighbours
 * that form a token, those whose token scores best are joined first.
 *
 * @param tokens Text of each id; empty for tokens that are never merged, such as control tokens.
 * @param scores Score of each id; higher is merged earlier.
 * @returns Pairs of neighbours, the first to be merged first.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const merges = sentencePieceMerges(["a", "b", "c", "ab", "abc"], [0, 0, 0, -2, -1]);
 * assertEquals(merges, [["ab", "c"], ["a", "b"]]);
 * ```
 */
export function sentencePieceMerges(
  tokens: readonly string[],
  scores: ArrayLike<number>,
): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  ids.delete("");
  const rules: { pair: [string, string]; score: number; left: number; right: number }[] = [];
  for (const [token, id] of ids) {
    const score = scores[id] ?? 0;
    let cut = 0;
    for (const character of token) {
      cut += character.length;
      const pair: [string, string] = [token.slice(0, cut), token.slice(cut)];
      const left = ids.get(pair[0]);
      const right = ids.get(pair[1]);
      if (left === undefined || right === undefined) continue;
      rules.push({ pair, score, left, right });
    }
  }
  rules.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right);
  return rules.map(({ pair }) => pair);
}
