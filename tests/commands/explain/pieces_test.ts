import { assertEquals } from "@std/assert";
import { pieces, printable } from "../../../commands/explain/_pieces.ts";
import { CheckpointError } from "../../../runtime/errors.ts";
import { idsOnlyTokenizer } from "../../../runtime/tokenizer/ids_only_tokenizer.ts";
import { createTokenizer } from "../../../runtime/tokenizer/create_tokenizer.ts";
import { fixture } from "../../_test_model.ts";

function byteTokenizer() {
  const tokenizer = JSON.parse(Deno.readTextFileSync(fixture("tokenizers/byte_level.json")));
  return createTokenizer({ kind: "json", tokenizer, config: {} });
}

Deno.test("pieces() joins the tokens that only together give a character", () => {
  const tokenizer = byteTokenizer();
  const ids = tokenizer.encode("inn 🎉 one");
  const made = pieces(ids, tokenizer);
  assertEquals(made.map(({ text }) => text).join(""), "inn 🎉 one");
  const party = made.find(({ text }) => text.includes("🎉"));
  assertEquals((party?.count ?? 0) > 1, true);
  assertEquals(made.reduce((sum, { count }) => sum + count, 0), ids.length);
  for (const [at, { from }] of made.entries()) {
    assertEquals(from, made.slice(0, at).reduce((sum, { count }) => sum + count, 0));
  }
});

Deno.test("pieces() shows what a cut character leaves and tokens without text", () => {
  const tokenizer = byteTokenizer();
  const party = tokenizer.encode("🎉");
  assertEquals(pieces(party.slice(0, -1), tokenizer), [
    { from: 0, count: party.length - 1, text: "\ufffd" },
  ]);
  const none = idsOnlyTokenizer(10, new CheckpointError("none"));
  assertEquals(pieces([7, 8], none), [
    { from: 0, count: 1, text: "<7>" },
    { from: 1, count: 1, text: "<8>" },
  ]);
});

Deno.test("printable() leaves no character that can move, colour or reorder anything", () => {
  assertEquals(printable("a\tb\r\nc"), "a⇥   b␍↵\nc");
  assertEquals(printable("\x1b[31mred\x07\x7f\x9b"), "␛[31mred␇␡<U+009B>");
  assertEquals(printable("\u202eabc\u2066\ufeff\u200b"), "<U+202E>abc<U+2066><U+FEFF><U+200B>");
  assertEquals(printable("\u2028\u2029\ud800"), "<U+2028><U+2029><U+D800>");
  assertEquals(printable("👩\u200d👩\u200d👧 é ش 漢"), "👩\u200d👩\u200d👧 é ش 漢");
  const every = Array.from({ length: 0x3000 }, (_, code) => String.fromCodePoint(code)).join("");
  assertEquals(/(?!\n)\p{Cc}|(?!\u200d)\p{Cf}/u.test(printable(every)), false);
});
