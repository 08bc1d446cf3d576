import { assertEquals, assertThrows } from "@std/assert";
import { CheckpointError } from "../../../runtime/errors.ts";
import { readDecoder } from "../../../runtime/tokenizer/token_bytes.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

Deno.test("readDecoder() maps the byte-level alphabet to all 256 bytes", () => {
  const { bytes } = readDecoder({ type: "ByteLevel" });
  const characters = Array.from({ length: 0x144 }, (_, code) => String.fromCharCode(code));
  const seen = new Set(
    characters.map((c) => bytes(c)).filter((b) => b.length === 1).map(([b]) => b),
  );
  assertEquals(seen.size, 256);
  assertEquals(bytes("ĠĊ~"), new Uint8Array([0x20, 0x0a, 0x7e]));
});

Deno.test("readDecoder() lets a token outside the byte alphabet stand for itself", () => {
  assertEquals(readDecoder({ type: "ByteLevel" }).bytes("你"), utf8("你"));
});

Deno.test("readDecoder() reads SentencePiece-like decoders", () => {
  const decoder = readDecoder({
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  });
  assertEquals(decoder.bytes("▁a▁b"), utf8(" a b"));
  assertEquals(decoder.bytes("<0xE9>"), new Uint8Array([0xe9]));
  assertEquals(decoder.bytes("<0xE9>x"), utf8("<0xE9>x"));
  assertEquals(decoder.dropsFirstSpace, true);
});

Deno.test("readDecoder() reads a Metaspace decoder with its own sign for a space", () => {
  const decoder = readDecoder({ type: "Metaspace", replacement: "_" });
  assertEquals(decoder.bytes("_a"), utf8(" a"));
  assertEquals(decoder.bytes("<0x41>"), utf8("<0x41>"));
  assertEquals(decoder.dropsFirstSpace, true);
});

Deno.test("readDecoder() names a decoder that is not supported", () => {
  assertThrows(() => readDecoder({ type: "WordPiece" }), CheckpointError, "decoder WordPiece");
  assertThrows(() => readDecoder(null), CheckpointError, "decoder none");
});
