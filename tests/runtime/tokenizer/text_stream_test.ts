import { assertEquals, assertThrows } from "@std/assert";
import { PromptError } from "../../../runtime/errors.ts";
import { createTextStream, type Vocabulary } from "../../../runtime/tokenizer/text_stream.ts";

/** Token id = byte; 256 is a control token. */
const bytes: Vocabulary = {
  token: (id) => id < 256 ? `#${id}` : id === 256 ? "<end>" : undefined,
  bytes: (token) => Uint8Array.of(Number(token.slice(1))),
  verbatim: new Set(["<end>"]),
  byteLevel: false,
  special: new Set([256]),
  dropsFirstSpace: false,
};

function pieces(ids: Iterable<number>, vocabulary = bytes, skipSpecial = false): string[] {
  const stream = createTextStream(vocabulary, skipSpecial);
  return [...[...ids].map((id) => stream.push(id)), stream.flush()];
}

Deno.test("createTextStream() gives a character only once all of its bytes are there", () => {
  assertEquals(pieces(new TextEncoder().encode("é🙂!")), ["", "é", "", "", "", "🙂", "!", ""]);
});

Deno.test("createTextStream() gives joined emoji and CJK whole, wherever tokens cut them", () => {
  const text = "👨\u200d👩\u200d👧 🏳\ufe0f\u200d🌈 漢字かな e\u0301 👍🏽";
  const ids = new TextEncoder().encode(text);
  // Each piece is text: characters are never cut, and joiners stay between what they join.
  const whole = pieces(ids);
  assertEquals(whole.join(""), text);
  assertEquals(whole.filter((piece) => [...piece].length > 1), []);
  for (let cut = 1; cut < ids.length; cut++) {
    const shown = pieces(ids.slice(0, cut)).join("");
    assertEquals(text.startsWith(shown), true, `${cut}: ${shown}`);
    const stream = createTextStream(bytes, true, { after: [...ids.slice(0, cut)], goesOn: true });
    const rest = [...ids.slice(cut)].map((id) => stream.push(id)).join("");
    assertEquals(text.slice(shown.length), rest, `${cut}`);
  }
});

Deno.test("createTextStream() drops a character that stays incomplete", () => {
  assertEquals(pieces([0x61, 0xf0, 0x9f]), ["a", "", "", ""]);
});

Deno.test("createTextStream() shows bytes that can never be text as U+FFFD", () => {
  assertEquals(pieces([0xff, 0x61, 0xc3, 0x61]), ["\ufffd", "a", "", "\ufffda", ""]);
});

Deno.test("createTextStream() keeps a U+FFFD and a byte order mark that the text really has", () => {
  assertEquals(pieces(new TextEncoder().encode("\ufeff\ufffd")).join(""), "\ufeff\ufffd");
});

Deno.test("createTextStream() writes control tokens or skips them", () => {
  assertEquals(pieces([0x61, 256, 0x62]).join(""), "a<end>b");
  assertEquals(pieces([0x61, 256, 0x62], bytes, true).join(""), "ab");
});

Deno.test("createTextStream() gives no text for an id without a token", () => {
  assertEquals(pieces([0x61, 9999]).join(""), "a");
});

Deno.test("createTextStream() drops one space at the start where the vocabulary says so", () => {
  const vocabulary = { ...bytes, dropsFirstSpace: true };
  assertEquals(pieces([0x20, 0x20, 0x61, 0x20], vocabulary).join(""), " a ");
  assertEquals(pieces([0x61, 0x20], vocabulary).join(""), "a ");
  assertEquals(pieces([256, 0x20, 0x61], vocabulary, true).join(""), "a");
});

Deno.test("createTextStream() close() ends an incomplete character like a plain decoder", () => {
  const stream = createTextStream(bytes, false);
  stream.push(0xe2);
  assertEquals(stream.close(), "\ufffd");
});

Deno.test("createTextStream() refuses what is not a token id", () => {
  const stream = createTextStream(bytes, false);
  for (const id of [-1, 1.5, NaN]) {
    assertThrows(() => stream.push(id), PromptError, `Cannot decode token id ${id}`);
  }
});

Deno.test("createTextStream() completes a character that the tokens before have begun", () => {
  const emoji = [...new TextEncoder().encode("a🙂")];
  const goOn = (
    after: readonly number[],
    ids: readonly number[],
    vocabulary = bytes,
    goesOn = true,
  ) => {
    const stream = createTextStream(vocabulary, true, { after, goesOn });
    return ids.map((id) => stream.push(id)).join("");
  };
  for (let cut = 1; cut < emoji.length; cut++) {
    assertEquals(goOn(emoji.slice(0, cut), emoji.slice(cut)), "🙂", `${cut}`);
  }
  assertEquals(goOn([0xf0, 0x9f, 256], [0x61]), "a");
  assertEquals(goOn(emoji, [0x62]), "b");
  // What one text has begun badly is shown where it goes on, and is no part of another.
  assertEquals(goOn([0xf0, 0x9f], [0x62, 0xff]), "\ufffdb\ufffd");
  assertEquals(goOn([0xf0, 0x9f], [0x62, 0xff], bytes, false), "b\ufffd");
  assertEquals(goOn([0xf0, 0x9f], [0x99, 0x82], bytes, false), "🙂");
  assertEquals(goOn([0x61], [0x20, 0x62], { ...bytes, dropsFirstSpace: true }), " b");
});
