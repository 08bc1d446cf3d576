import { assertEquals } from "@std/assert";
import { sentencePieceMerges } from "../../../runtime/tokenizer/sentencepiece_merges.ts";

Deno.test("sentencePieceMerges() orders pairs by the score of what they form", () => {
  const tokens = ["", "a", "b", "ab", "ba", "aba"];
  const scores = [0, 0, 0, -3, -1, -2];
  assertEquals(sentencePieceMerges(tokens, scores), [
    ["b", "a"],
    ["a", "ba"],
    ["ab", "a"],
    ["a", "b"],
  ]);
});

Deno.test("sentencePieceMerges() never cuts a character outside the BMP in two", () => {
  assertEquals(sentencePieceMerges(["🙂", "🙂🙂"], [0, -1]), [["🙂", "🙂"]]);
});

Deno.test("sentencePieceMerges() makes no rule with an empty or missing half", () => {
  assertEquals(sentencePieceMerges(["", "a", "xa"], [0, 0, 0]), []);
});
