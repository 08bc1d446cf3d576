import type { TokenizerJson } from "../runtime/tokenizer/tokenizer_files.ts";
import { readGgufTokenizer } from "../runtime/tokenizer/gguf_tokenizer.ts";

/** The `tokenizer.json` that converters make of a SentencePiece vocabulary: its scores become merges. */
export function sentencePieceJson(metadata: Readonly<Record<string, unknown>>): TokenizerJson {
  const { tokenizer, pieces } = readGgufTokenizer(metadata);
  if (!pieces) throw new RangeError("The vocabulary has no scores");
  const { tokens, scores, mergeable, unknownId, spacePrefix } = pieces;
  const spaces = { type: "Replace", pattern: { String: " " }, content: "▁" };
  return {
    ...tokenizer,
    model: {
      type: "BPE",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges(tokens.map((token, id) => mergeable(id) ? token : ""), scores),
      unk_token: unknownId === undefined ? undefined : tokens[unknownId],
      fuse_unk: true,
      byte_fallback: true,
    },
    normalizer: {
      type: "Sequence",
      normalizers: spacePrefix ? [{ type: "Prepend", prepend: "▁" }, spaces] : [spaces],
    },
  };
}

function merges(tokens: readonly string[], scores: ArrayLike<number>): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  ids.delete("");
  const rules: { pair: [string, string]; score: number; left: number; right: number }[] = [];
  for (const [token, id] of ids) {
    let cut = 0;
    for (const character of token) {
      cut += character.length;
      const pair: [string, string] = [token.slice(0, cut), token.slice(cut)];
      const [left, right] = [ids.get(pair[0]), ids.get(pair[1])];
      if (left === undefined || right === undefined) continue;
      rules.push({ pair, score: scores[id] ?? 0, left, right });
    }
  }
  rules.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right);
  return rules.map(({ pair }) => pair);
}
