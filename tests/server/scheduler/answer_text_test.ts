import { assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { createAnswerText, type FinalToken } from "../../../server/scheduler/answer_text.ts";
import type { TextStream } from "../../../runtime/tokenizer/tokenizer.ts";

/** A stream whose tokens are the pieces at their ids. */
function streamOf(pieces: readonly Uint8Array[]): TextStream {
  const decoder = new TextDecoder();
  return {
    push: (id) => decoder.decode(pieces[id], { stream: true }),
    flush: () => "",
  };
}

/** Reads all pieces until one of the stop texts. */
function read(pieces: readonly Uint8Array[], stops: readonly string[]) {
  const text = createAnswerText<number>(streamOf(pieces), stops);
  const given: FinalToken<number>[] = [];
  for (const index of pieces.keys()) {
    const { tokens, stopText } = text.push(index, index);
    given.push(...tokens);
    if (stopText !== undefined) return { given, stopText };
  }
  given.push(...text.end().tokens);
  return { given, stopText: undefined };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const textOf = (given: readonly FinalToken<number>[]) => given.map(({ text }) => text).join("");

Deno.test("a stop text that is split over tokens does not leak, nor do its tokens", () => {
  const { given, stopText } = read(["Hello", " EN", "D", " more"].map(bytes), ["END"]);
  assertEquals(given, [{ token: 0, text: "Hello" }, { token: 1, text: " " }]);
  assertEquals(stopText, "END");
});

Deno.test("the beginning of a stop text that does not come is not swallowed", () => {
  const { given } = read(["Hello", " EN", "NUI"].map(bytes), ["END"]);
  assertEquals(textOf(given), "Hello ENNUI");
  assertEquals(read(["Hello", " EN"].map(bytes), ["END"]).given.map(({ token }) => token), [0, 1]);
});

Deno.test("a character that is split over tokens comes whole, with its last token", () => {
  const [first, second] = [bytes("é").slice(0, 1), bytes("é").slice(1)];
  const { given } = read([bytes("caf"), first, second], []);
  assertEquals(given.map(({ text }) => text), ["caf", "", "é"]);
  assertEquals(textOf(read([bytes("caf"), first], []).given), "caf");
});

Deno.test("texts end before the first stop text, however they are divided into tokens", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "é", "🙂", " "), maxLength: 20 });
  fc.assert(fc.property(
    text,
    fc.array(fc.nat({ max: 60 }), { maxLength: 8 }),
    fc.array(fc.string({ unit: fc.constantFrom("a", "b", "é"), minLength: 1, maxLength: 3 }), {
      maxLength: 2,
    }),
    (whole, cuts, stops) => {
      const all = bytes(whole);
      const places = [...new Set([0, ...cuts.filter((at) => at < all.length), all.length])]
        .sort((a, b) => a - b);
      const pieces = places.slice(1).map((end, index) => all.slice(places[index], end));
      const found = stops.map((stop) => whole.indexOf(stop)).filter((at) => at >= 0);
      const expected = found.length > 0 ? whole.slice(0, Math.min(...found)) : whole;
      const { given, stopText } = read(pieces, stops);
      assertEquals(textOf(given), expected);
      assertEquals(stopText !== undefined, found.length > 0);
    },
  ));
});
