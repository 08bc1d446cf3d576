import { assert, assertEquals } from "@std/assert";
import { mergePieces, scoredModel } from "../../../runtime/tokenizer/scored_model.ts";

const scoresOf = (scores: Readonly<Record<string, number>>) => (piece: string) => scores[piece];

Deno.test("mergePieces() joins the best of all neighbours first, of equals the leftmost", () => {
  assertEquals(mergePieces("aba", scoresOf({ ab: -3, ba: -1, aba: -2 })), ["aba"]);
  assertEquals(mergePieces("abab", scoresOf({ ab: -2, ba: -1 })), ["a", "ba", "b"]);
  assertEquals(mergePieces("aaa", scoresOf({ aa: -1 })), ["aa", "a"]);
  assertEquals(mergePieces("aaaaa", scoresOf({ aa: -1, aaaa: -2 })), ["aaaa", "a"]);
});

Deno.test("mergePieces() never cuts a character outside the BMP in two", () => {
  assertEquals(mergePieces("🙂🙂x", scoresOf({ "🙂🙂": -1 })), ["🙂🙂", "x"]);
  assertEquals(mergePieces("", () => 0), []);
});

Deno.test("mergePieces() takes a text of any length in one go, without recursion", () => {
  const pieces = mergePieces("ab".repeat(100_000), scoresOf({ ab: -1, abab: -2 }));
  assertEquals(pieces.length, 50_000);
});

Deno.test("scoredModel() never merges to control tokens, and writes strange characters as bytes", () => {
  const tokens = ["<unk>", "<s>", "<", "s", ">", "<s", "<0xC3>", "<0xA9>", "▁"];
  const kinds = [2, 3, 1, 1, 1, 1, 6, 6, 1];
  const model = scoredModel({
    tokens,
    scores: tokens.map(() => -1),
    mergeable: (id) => kinds[id] === 1,
    unknownId: 0,
    spacePrefix: false,
  });
  const encode = (text: string) => model.encode(model.normalize?.(text) ?? text, 0, new Set());
  assertEquals(encode("<s>"), [5, 4]);
  assertEquals(encode("é s"), [6, 7, 8, 3]);
  // No byte of this one is in the vocabulary; a run of such characters is one unknown token.
  assertEquals(encode("日本s"), [0, 3]);
  assertEquals(encode("<0xC3>"), [2, 0, 4]);
  assert(model.id("<s>") === 1 && model.token(1) === "<s>");
});
