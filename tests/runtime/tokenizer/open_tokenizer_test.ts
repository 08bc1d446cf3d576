import { assertEquals, assertThrows } from "@std/assert";
import type { TokenizerSource } from "../../../runtime/checkpoint/checkpoint.ts";
import { CheckpointError } from "../../../runtime/errors.ts";
import { createTokenizer } from "../../../runtime/tokenizer/create_tokenizer.ts";
import { openTokenizer } from "../../../runtime/tokenizer/open_tokenizer.ts";

const absent: TokenizerSource = { kind: "absent", reason: "models/tiny has no tokenizer.json" };
const hello = [{ role: "user", content: "Hi" }];

Deno.test("createTokenizer() of an absent tokenizer lets ids pass and refuses text", () => {
  const tokenizer = createTokenizer(absent);
  const message = "the checkpoint has no tokenizer (models/tiny has no tokenizer.json); give";
  assertThrows(() => tokenizer.encode("Hi"), CheckpointError, message);
  assertThrows(() => tokenizer.encodeChat(hello), CheckpointError, message);
  assertThrows(() => tokenizer.applyChatTemplate(hello), CheckpointError, message);
  assertEquals(tokenizer.decode([1, 2]), "");
  const stream = tokenizer.stream();
  assertEquals(stream.push(1) + stream.flush(), "");
});

Deno.test("openTokenizer() puts off what is wrong with a tokenizer until text is given", () => {
  const tokenizer = openTokenizer({ kind: "json", tokenizer: {}, config: {} });
  assertEquals(tokenizer.hasChatTemplate, false);
  assertThrows(() => tokenizer.encode("Hi"), CheckpointError, "tokenizer.json has no model");
});

Deno.test("openTokenizer() gives the tokenizer that createTokenizer() makes", () => {
  const tokenizer = openTokenizer({
    kind: "json",
    tokenizer: {
      model: { type: "BPE", vocab: { a: 0 }, merges: [] },
      decoder: { type: "ByteLevel" },
    },
    config: {},
  });
  assertEquals(tokenizer.encode("aa"), [0, 0]);
});
