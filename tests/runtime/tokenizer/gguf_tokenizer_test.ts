import { assert, assertEquals, assertThrows } from "@std/assert";
import { CheckpointError } from "../../../runtime/errors.ts";
import { createTokenizer } from "../../../runtime/tokenizer/create_tokenizer.ts";
import { PRE_TOKENIZERS } from "../../../runtime/tokenizer/pre_tokenizers.ts";
import { tinyGguf, tinySource } from "./_vocabularies.ts";

const fixture = (name: string) =>
  JSON.parse(
    Deno.readTextFileSync(new URL(`../../fixtures/tokenizers/${name}`, import.meta.url)),
  );

Deno.test("readGgufTokenizer() gives the same ids as the tokenizer.json of the vocabulary", () => {
  const text = "hi  hi<|im_end|>h<tool>i";
  const fromMetadata = createTokenizer(tinyGguf());
  assertEquals(fromMetadata.encode(text), createTokenizer(tinySource()).encode(text));
  assertEquals(fromMetadata.bosId, 5);
  assertEquals(fromMetadata.eosIds, [6]);
  assertEquals(fromMetadata.decode([3, 6, 7], { skipSpecial: true }), "hi<tool>");
});

Deno.test("added tokens such as <think> are the same ids from GGUF and from tokenizer.json", () => {
  const json = fixture("byte_level.json");
  const { vocab, merges } = json.model;
  const plain = Object.keys(vocab).sort((a, b) => vocab[a] - vocab[b]);
  const added = [
    { content: "<think>", special: false },
    { content: "</think>", special: false },
    { content: "<start_of_turn>", special: true },
    { content: "<end_of_turn>", special: true },
  ].map((token, index) => ({ ...token, id: plain.length + index, normalized: false }));
  const tokens = [...plain, ...added.map(({ content }) => content)];
  const fromJson = createTokenizer(
    tinySource({}, { ...json, added_tokens: [...json.added_tokens, ...added] }),
  );
  const fromGguf = createTokenizer(tinyGguf({
    "ggml.pre": "gpt-2",
    "ggml.tokens": tokens,
    "ggml.merges": merges.map((pair: string[]) => pair.join(" ")),
    "ggml.token_type": tokens.map((_, id) => {
      const { special } = added.find((token) => token.id === id) ?? {};
      return id < 2 || special ? 3 : special === false ? 4 : 1;
    }),
    "ggml.bos_token_id": 1,
    "ggml.eos_token_id": 0,
  }));
  const [think = -1, thought = -1, turn = -1] = added.map(({ id }) => id);
  const texts = [
    "<think>why</think>because",
    "<think><think></think>",
    "a<think b>c</think",
    " <think> \n</think>\n\n",
    "<start_of_turn>user\n<think>hi<end_of_turn><|end|>",
  ];
  for (const text of texts) {
    for (const special of [true, false]) {
      const ids = fromJson.encode(text, { special });
      assertEquals(fromGguf.encode(text, { special }), ids, text);
      assertEquals(fromJson.decode(ids), text);
      assertEquals(fromGguf.decode(ids), text);
      assertEquals(ids.includes(turn), special && text.includes("<start_of_turn>"));
    }
  }
  const [first, ...others] = fromGguf.encode("<think>why</think>because");
  assertEquals(first, think);
  assertEquals(others.filter((id) => id === thought).length, 1);
});

Deno.test("added tokens of a GGUF file are found within words: it cannot say that they are words", () => {
  const tokens = ["h", "i", "Ġ", "hi", "Ġhi", "<s>", "<|im_end|>", "ih"];
  const fromGguf = createTokenizer(tinyGguf({ "ggml.tokens": tokens }));
  const fromJson = (single_word: boolean) =>
    createTokenizer(tinySource({}, {
      added_tokens: [{ id: 7, content: "ih", special: false, normalized: false, single_word }],
    }));
  assertEquals(fromGguf.encode("hih ih"), [0, 7, 2, 7]);
  assertEquals(fromGguf.encode("hih ih"), fromJson(false).encode("hih ih"));
  assertEquals(fromJson(true).encode("hih ih"), [3, 0, 2, 7]);
});

Deno.test("readGgufTokenizer() gives SentencePiece's own ids from pieces and scores", () => {
  const { metadata, cases } = fixture("sentencepiece.json");
  const tokenizer = createTokenizer({ kind: "gguf", metadata });
  for (const { text, ids } of cases) {
    assertEquals(tokenizer.encode(text, { bos: false }), ids, text);
    assertEquals(tokenizer.decode(ids), text);
    const stream = tokenizer.stream();
    const pieces = ids.map((id: number) => stream.push(id));
    assertEquals(pieces.join("") + stream.flush(), text);
    assertEquals(pieces.some((piece: string) => piece.includes("\ufffd")), false);
  }
  assert(cases.length >= 9);
  assertEquals(tokenizer.encode("Hi")[0], tokenizer.bosId);
});

Deno.test("readGgufTokenizer() gives SentencePiece's own ids for Gemma's settings", () => {
  const { metadata, cases } = fixture("gemma_sentencepiece.json");
  const tokenizer = createTokenizer({ kind: "gguf", metadata });
  for (const { text, ids } of cases) {
    assertEquals(tokenizer.encode(text, { bos: false }), ids, JSON.stringify(text));
    // SentencePiece itself gives a space back for its mark.
    assertEquals(tokenizer.decode(ids), text.replaceAll("▁", " "));
  }
  assert(cases.length >= 60);
  assertEquals(tokenizer.encode(""), [tokenizer.bosId]);
  assertEquals(tokenizer.encode("<s>a", { special: true })[1], tokenizer.encode("a")[1]);
});

Deno.test("readGgufTokenizer() lets Phi-3's control tokens swallow the spaces behind them", () => {
  const { metadata } = fixture("sentencepiece.json");
  const tokens: readonly string[] = metadata["tokenizer.ggml.tokens"];
  const end = tokens.length;
  const phi = {
    ...metadata,
    "tokenizer.ggml.tokens": [...tokens, "<|user|>"],
    "tokenizer.ggml.scores": [...metadata["tokenizer.ggml.scores"], 0],
    "tokenizer.ggml.token_type": [...metadata["tokenizer.ggml.token_type"], 3],
  };
  const ids = (architecture: string, text: string) =>
    createTokenizer({
      kind: "gguf",
      metadata: { ...phi, "general.architecture": architecture },
    }).encode(text, { special: true, bos: false });
  assertEquals(ids("phi3", "<|user|>\n the"), ids("phi3", "<|user|>the"));
  assertEquals(ids("phi3", "<|user|>the")[0], end);
  assert(ids("llama", "<|user|>\n the").length > ids("llama", "<|user|>the").length);
});

Deno.test("readGgufTokenizer() adds no space where SentencePiece metadata say so", () => {
  const { metadata } = fixture("sentencepiece.json");
  const changed = { ...metadata, "tokenizer.ggml.add_space_prefix": false };
  const tokenizer = createTokenizer({ kind: "gguf", metadata: changed });
  assertEquals(tokenizer.decode(tokenizer.encode(" a", { bos: false })), " a");
  assertEquals(tokenizer.decode(tokenizer.encode("a", { bos: false })), "a");
  const spaced = createTokenizer({ kind: "gguf", metadata });
  assertEquals(
    tokenizer.encode(" the", { bos: false }),
    spaced.encode("the", { bos: false }),
  );
});

Deno.test("readGgufTokenizer() splits text as each pre-tokenizer does before merging", () => {
  const { model } = fixture("byte_level.json");
  const tokens = Object.keys(model.vocab).sort((a, b) => model.vocab[a] - model.vocab[b]);
  const merges = [...model.merges.map((pair: string[]) => pair.join(" ")), "1 2", "12 3", "123 4"];
  const pieces = (pre: string, text: string) => {
    const tokenizer = createTokenizer(tinyGguf({
      "ggml.pre": pre,
      "ggml.tokens": [...tokens, "12", "123", "1234"],
      "ggml.merges": merges,
      "ggml.token_type": undefined,
      "ggml.bos_token_id": undefined,
    }));
    return tokenizer.encode(text).map((id) => tokenizer.decode([id]));
  };
  const expected: Record<string, string[]> = {
    "default": ["123", "4"],
    "gpt-2": ["1234"],
    "smollm": ["1", "2", "3", "4"],
    "starcoder": ["1", "2", "3", "4"],
    "refact": ["1", "2", "3", "4"],
    "llama-bpe": ["123", "4"],
    "llama3": ["123", "4"],
    "llama-v3": ["123", "4"],
    "falcon3": ["123", "4"],
    "smaug-bpe": ["123", "4"],
    "qwen2": ["1", "2", "3", "4"],
    "deepseek-r1-qwen": ["1", "2", "3", "4"],
    "tekken": ["1", "2", "3", "4"],
  };
  for (const pre of PRE_TOKENIZERS.keys()) assertEquals(pieces(pre, "1234"), expected[pre], pre);
});

Deno.test("readGgufTokenizer() brings text into form NFC for qwen2 only", () => {
  const tokens = ["Ã", "©", "Ã©", "e", "Ì", "ģ"];
  const encode = (pre: string) =>
    createTokenizer(tinyGguf({
      "ggml.pre": pre,
      "ggml.tokens": tokens,
      "ggml.merges": ["Ã ©"],
      "ggml.token_type": undefined,
      "ggml.bos_token_id": undefined,
      "ggml.eos_token_id": undefined,
    })).encode("e\u0301");
  assertEquals(encode("qwen2"), [2]);
  assertEquals(encode("gpt-2"), [3, 4, 5]);
});

Deno.test("readGgufTokenizer() keeps tokens with names of object properties", () => {
  const tokenizer = createTokenizer(tinyGguf({
    "ggml.tokens": ["__proto__", "constructor", "_"],
    "ggml.merges": [],
    "ggml.token_type": [4, 4, 1],
    "ggml.bos_token_id": undefined,
    "ggml.eos_token_id": undefined,
  }));
  assertEquals(tokenizer.encode("__proto__constructor_"), [0, 1, 2]);
});

Deno.test("readGgufTokenizer() names kinds that are not supported", () => {
  const refuse = (changes: Record<string, unknown>, message: string) =>
    assertThrows(() => createTokenizer(tinyGguf(changes)), CheckpointError, message);
  refuse({ "ggml.model": "bert" }, "GGUF vocabulary bert is not supported (supported: gpt2, llama");
  refuse({ "ggml.model": undefined }, "the GGUF file has none (tokenizer.ggml.model is missing)");
  refuse({ "ggml.pre": "viking" }, "pre-tokenizer viking is not supported");
});

Deno.test("readGgufTokenizer() names what is missing or damaged", () => {
  const refuse = (changes: Record<string, unknown>, message: string) =>
    assertThrows(() => createTokenizer(tinyGguf(changes)), CheckpointError, message);
  refuse({ "ggml.tokens": undefined }, "tokenizer.ggml.tokens is missing");
  refuse({ "ggml.merges": undefined }, "tokenizer.ggml.merges is missing");
  refuse({ "ggml.tokens": [1, 2] }, "tokenizer.ggml.tokens must be a list of texts, got a list");
  refuse({ "ggml.merges": ["hi"] }, 'merge "hi" is not two tokens');
  refuse({ "ggml.merges": ["hi "] }, 'merge "hi " is not two tokens');
  refuse({ "ggml.token_type": [1] }, "token_type has 1 entries for 8 tokens");
  refuse({ "ggml.bos_token_id": 8 }, "bos token id 8 is not below the 8 tokens");
  refuse({ "ggml.eos_token_id": "</s>" }, "eos_token_id must be a whole number, got string </s>");
  refuse({ "ggml.add_bos_token": 1 }, "add_bos_token must be true or false, got number 1");
  refuse({ "ggml.model": "llama" }, "tokenizer.ggml.scores is missing");
  refuse({ "ggml.model": "llama", "ggml.scores": [0] }, "scores has 1 entries for 8 tokens");
});

Deno.test("readGgufTokenizer() takes big integers and typed arrays", () => {
  const tokenizer = createTokenizer(tinyGguf({
    "ggml.bos_token_id": 5n,
    "ggml.token_type": Int32Array.of(1, 1, 1, 1, 1, 3, 3, 4),
  }));
  assertEquals(tokenizer.bosId, 5);
  assertEquals(tokenizer.encode("<s>", { special: true }), [5]);
});
