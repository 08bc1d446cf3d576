import { assert, assertEquals, assertThrows } from "@std/assert";
import { Tokenizer as Library } from "npm:@huggingface/tokenizers@0.2.0";
import { CheckpointError, PromptError } from "../../../runtime/errors.ts";
import { createTokenizer } from "../../../runtime/tokenizer/create_tokenizer.ts";
import { OPENS_WITH_BOS, TINY, tinyGguf, tinySource } from "./_vocabularies.ts";

const byteLevel = JSON.parse(
  await Deno.readTextFile(
    new URL("../../fixtures/tokenizers/byte_level.json", import.meta.url),
  ),
);
const messages = [{ role: "user", content: "hi" }];
const WITH_BOS = "{{ bos_token }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}";
const WITHOUT_BOS = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}";

Deno.test("createTokenizer() encodes and decodes by hand-made merges", () => {
  const tokenizer = createTokenizer(tinySource());
  assertEquals(tokenizer.vocabulary, 8);
  assertEquals(tokenizer.encode("hi hi h i"), [3, 4, 2, 0, 2, 1]);
  assertEquals(tokenizer.decode([3, 4, 2, 0, 2, 1]), "hi hi h i");
  assertEquals(tokenizer.encode(""), []);
  assertEquals(tokenizer.decode([]), "");
});

Deno.test("createTokenizer() reads control tokens in the text only if told so", () => {
  const tokenizer = createTokenizer(tinySource({}, byteLevel));
  const allowing = createTokenizer(tinySource({}, byteLevel), { allowControlTokens: true });
  const text = "Holmes<|end|> looked";
  assert(tokenizer.encode(text, { special: true }).includes(0));
  assert(allowing.encode(text).includes(0));
  const plain = tokenizer.encode(text);
  assertEquals(plain.includes(0), false);
  assertEquals(allowing.encode(text, { special: false }), plain);
  assertEquals(tokenizer.decode(plain), text);
  assertEquals(tokenizer.encode("", { special: true }), []);
  assertEquals(
    tokenizer.encode("It was 1892.", { special: true }),
    tokenizer.encode("It was 1892."),
  );
});

Deno.test("createTokenizer() leaves control tokens out of the text on request", () => {
  const tokenizer = createTokenizer(tinySource());
  assertEquals(tokenizer.decode([3, 6]), "hi<|im_end|>");
  assertEquals(tokenizer.decode([3, 6, 7], { skipSpecial: true }), "hi<tool>");
});

Deno.test("createTokenizer() opens raw text with BOS as the settings say", () => {
  const bos = (config: Record<string, unknown>, post_processor: unknown = null) =>
    createTokenizer(tinySource({ bos_token: "<s>", ...config }, { post_processor })).encode("hi");
  assertEquals(bos({}), [3]);
  assertEquals(bos({ add_bos_token: true }), [5, 3]);
  assertEquals(bos({}, OPENS_WITH_BOS), [5, 3]);
  assertEquals(bos({ add_bos_token: false }, OPENS_WITH_BOS), [3]);
  assertEquals(bos({ bos_token: { content: "<s>" }, add_bos_token: true }), [5, 3]);
  assertEquals(bos({ bos_token: null, add_bos_token: true }), [3]);
});

Deno.test("createTokenizer() opens raw text with BOS as GGUF metadata say", () => {
  const bos = (changes: Record<string, unknown>) => createTokenizer(tinyGguf(changes)).encode("hi");
  assertEquals(bos({}), [3]);
  assertEquals(bos({ "ggml.add_bos_token": true }), [5, 3]);
  assertEquals(bos({ "ggml.pre": "llama-bpe" }), [5, 3]);
  assertEquals(bos({ "ggml.pre": "llama-bpe", "ggml.add_bos_token": false }), [3]);
  assertEquals(bos({ "ggml.bos_token_id": undefined, "ggml.add_bos_token": true }), [3]);
});

Deno.test("createTokenizer() lets the caller overrule BOS for raw text", () => {
  const tokenizer = createTokenizer(tinyGguf({ "ggml.add_bos_token": true }));
  assertEquals(tokenizer.encode("hi", { bos: false }), [3]);
  assertEquals(createTokenizer(tinyGguf()).encode("hi", { bos: true }), [5, 3]);
});

Deno.test("createTokenizer() never doubles the BOS of a chat template", () => {
  for (const add_bos_token of [true, false]) {
    const config = { bos_token: "<s>", add_bos_token, chat_template: WITH_BOS };
    const sources = [
      tinySource(config, { post_processor: OPENS_WITH_BOS }),
      tinyGguf({ "ggml.add_bos_token": add_bos_token, chat_template: WITH_BOS }),
    ];
    for (const source of sources) {
      const tokenizer = createTokenizer(source);
      assertEquals(tokenizer.encodeChat(messages), [5, 3, 6]);
      assertEquals(tokenizer.encode(tokenizer.renderChat(messages)), [5, 3, 6]);
    }
  }
});

Deno.test("createTokenizer() adds no BOS to a chat template that prints none", () => {
  const config = { bos_token: "<s>", add_bos_token: true, chat_template: WITHOUT_BOS };
  const tokenizer = createTokenizer(tinySource(config));
  assertEquals(tokenizer.applyChatTemplate(messages), "hi<|im_end|>");
  assertEquals(tokenizer.encodeChat(messages), [3, 6]);
});

Deno.test("createTokenizer() finds the tokens that end a generation", () => {
  assertEquals(createTokenizer(tinySource()).eosIds, []);
  assertEquals(createTokenizer(tinySource({ eos_token: "<s>" })).eosIds, [5]);
  const config = { eos_token: "<s>", chat_template: WITHOUT_BOS };
  assertEquals(createTokenizer(tinySource(config)).eosIds, [5, 6]);
  const ends = { "ggml.eos_token_id": 5, "ggml.eot_token_id": 6, "ggml.eom_token_id": 7 };
  assertEquals(createTokenizer(tinyGguf(ends)).eosIds, [5, 6, 7]);
});

Deno.test("createTokenizer() says to give raw text when there is no chat template", () => {
  const tokenizer = createTokenizer(tinySource());
  assertEquals(tokenizer.hasChatTemplate, false);
  assertThrows(
    () => tokenizer.encodeChat(messages),
    PromptError,
    "the checkpoint has no chat template; give the prompt as raw text",
  );
});

Deno.test("createTokenizer() takes the default of several named chat templates", () => {
  const chat_template = [
    { name: "tool_use", template: "tools" },
    { name: "default", template: "plain" },
  ];
  const tokenizer = createTokenizer(tinySource({ chat_template }));
  assertEquals(tokenizer.applyChatTemplate(messages), "plain");
});

Deno.test("createTokenizer() prints the injected time in chat templates", () => {
  const config = { chat_template: "{{ strftime_now('%Y') }}" };
  const tokenizer = createTokenizer(tinySource(config), { now: () => new Date(1999, 5) });
  assertEquals(tokenizer.applyChatTemplate(messages), "1999");
});

Deno.test("createTokenizer() says why there is no tokenizer and what to give instead", () => {
  assertThrows(
    () => createTokenizer({ kind: "absent", reason: "models/tiny has no tokenizer.json" }),
    CheckpointError,
    "the checkpoint has no tokenizer (models/tiny has no tokenizer.json); give the prompt as token",
  );
});

Deno.test("createTokenizer() names what is wrong with tokenizer.json", () => {
  const refuse = (tokenizer: unknown, message: string) =>
    assertThrows(
      () => createTokenizer({ kind: "json", tokenizer, config: {} }),
      CheckpointError,
      message,
    );
  refuse(null, "tokenizer.json has no model");
  refuse({ ...TINY, model: [] }, "tokenizer.json has no model");
  refuse({ ...TINY, added_tokens: {} }, "added_tokens in tokenizer.json must be a list");
  refuse({ ...TINY, decoder: { type: "WordPiece" } }, "decoder WordPiece is not supported");
  refuse({ ...TINY, model: { type: "Magic" } }, "Magic");
  refuse({ ...TINY, pre_tokenizer: { type: "Magic" } }, "Magic");
});

Deno.test("createTokenizer() decodes as the library does, whole and piece by piece", () => {
  const library = new Library(byteLevel, {});
  const tokenizer = createTokenizer(tinySource({}, byteLevel));
  const every = Array.from({ length: tokenizer.vocabulary }, (_, id) => id);
  for (const id of every) assertEquals(tokenizer.decode([id]), plain(library, [id]), `id ${id}`);
  const text = "Holmes: naïve café – “quotes” 你好 🙂🙂 <|end|> done\r\n\t";
  const ids = tokenizer.encode(text, { special: true });
  assertEquals(tokenizer.decode(ids), plain(library, ids));
  assertEquals(tokenizer.decode(ids), text);
  const stream = tokenizer.stream();
  const pieces = ids.map((id) => stream.push(id));
  assertEquals(pieces.join("") + stream.flush(), text);
  assert(pieces.every((piece) => piece.isWellFormed() && !piece.includes("\ufffd")));
});

function plain(library: Library, ids: number[]): string {
  return library.decode(ids, { clean_up_tokenization_spaces: false });
}

Deno.test("createTokenizer() refuses added tokens that are none", () => {
  const model = { type: "BPE", vocab: { h: 0 }, merges: [] };
  const base = { model, decoder: { type: "ByteLevel" } };
  assertEquals(
    createTokenizer({ kind: "json", tokenizer: { ...base, added_tokens: null }, config: {} })
      .vocabulary,
    1,
  );
  for (const added_tokens of [3, [null], [{ id: -1, content: "x" }], [{ id: 1 }]]) {
    assertThrows(
      () => createTokenizer({ kind: "json", tokenizer: { ...base, added_tokens }, config: {} }),
      CheckpointError,
      "added_tokens in tokenizer.json must be a list of tokens with an id and a content",
    );
  }
});

Deno.test("createTokenizer() reads a tokenizer.json of Gemma's kind as its own library does", () => {
  const file = new URL("../../fixtures/tokenizers/gemma_tokenizer.json", import.meta.url);
  const { tokenizer: json, cases } = JSON.parse(Deno.readTextFileSync(file));
  const tokenizer = createTokenizer({
    kind: "json",
    tokenizer: json,
    config: { bos_token: "<s>", add_bos_token: true },
  });
  for (const { text, ids } of cases) {
    const options = { special: true, bos: false };
    assertEquals(tokenizer.encode(text, options), ids, JSON.stringify(text));
    assertEquals(tokenizer.decode(ids), text.replaceAll("▁", " "));
  }
  assert(cases.length >= 60);
  assertEquals(tokenizer.encode("a")[0], tokenizer.bosId);
  assertEquals(tokenizer.encode("<s>a", { special: true }), tokenizer.encode("a"));
});

Deno.test("createTokenizer() is not held up by regular expressions of a stranger", () => {
  const [a, space] = [{ Regex: "(a+)+b" }, { Regex: "( +)+\\t" }];
  const split = { type: "Split", pattern: a, behavior: "Isolated", invert: false };
  const pretokenizers = [{ ...split, behavior: "Removed" }, { ...split, invert: true }, split];
  for (const [index, pre] of [...pretokenizers, { type: "Sequence", pretokenizers }].entries()) {
    const tokenizer = createTokenizer({
      kind: "json",
      tokenizer: {
        model: { type: "BPE", vocab: { a: 0, b: 1, c: 2 }, merges: [] },
        normalizer: {
          type: "Sequence",
          normalizers: [{ type: "Replace", pattern: space, content: "" }],
        },
        pre_tokenizer: pre,
        decoder: { type: "ByteLevel" },
      },
      config: {},
    });
    const plain = "a".repeat(300) + " ".repeat(300);
    const inverted = index === 1 || index === 3;
    assertEquals(tokenizer.encode(plain).length, inverted ? 0 : 300);
    assertEquals(tokenizer.encode("c  \taab"), [[2], [0, 0, 1], [2, 0, 0, 1], []][index]);
  }
});

Deno.test("createTokenizer() takes a token that is a word of its own out of no longer word", () => {
  const added = TINY.added_tokens.slice(0, 2);
  const words = (normalized: boolean) => {
    const token = { id: 7, content: "ih", special: false, normalized, single_word: true };
    const longer = { id: 8, content: "ihi", special: false, normalized, single_word: true };
    return createTokenizer(tinySource({}, {
      added_tokens: [...added, token, longer],
      normalizer: normalized ? { type: "Lowercase" } : null,
    }));
  };
  // The ids of Hugging Face's tokenizers 0.22 (`tokenizers.Tokenizer.from_file`).
  const cases: readonly (readonly [text: string, ids: readonly number[]])[] = [
    ["ih", [7]],
    ["hih", [3, 0]],
    ["ihh", [1, 0, 0]],
    ["ih hi ih", [7, 4, 2, 7]],
    ["ih<s>ih", [7, 5, 7]],
    ["hih ih", [3, 0, 2, 7]],
    ["ihi ihi", [8, 2, 8]],
    // The longer one is tried and is none: the shorter one in it is not looked for.
    ["ihih", [1, 3, 0]],
  ];
  for (const normalized of [false, true]) {
    const tokenizer = words(normalized);
    for (const [text, ids] of cases) {
      assertEquals(tokenizer.encode(text, { special: true }), ids, `${text}, ${normalized}`);
    }
  }
  assertEquals(words(true).encode("HIH IH"), [3, 0, 2, 7]);
});
