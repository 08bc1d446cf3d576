import { assert, assertEquals, assertMatch } from "@std/assert";
import * as engine from "../runtime/engine/mod.ts";
import * as evaluation from "../evaluation/mod.ts";
import * as front from "../mod.ts";
import * as models from "../runtime/models/mod.ts";
import * as plugins from "../plugins/mod.ts";
import * as sessions from "../runtime/session/mod.ts";
import * as training from "../training/mod.ts";
import { testFolder, textModel } from "./commands/_run_cli.ts";

/** A document that no sentence may quote. */
const DOCUMENT = "Nobody shall read this. ".repeat(500);

/** Calls a function as JavaScript does, where no type holds. */
function call(of: object, name: string, ...given: readonly unknown[]): unknown {
  const found: unknown = Reflect.get(of, name);
  assert(typeof found === "function", `there is no ${name}`);
  return Reflect.apply(found, of, given);
}

/** What a call fails with, all of its answer awaited. */
async function failure(run: () => unknown): Promise<unknown> {
  try {
    const result = await run();
    const pieces: unknown = Object(result)[Symbol.asyncIterator];
    if (typeof pieces === "function") await Array.fromAsync(Object(result));
  } catch (error) {
    return error;
  }
}

/** Whether an error is one sentence of ours, without a document in it. */
function assertSentence(error: unknown, what: string, message?: RegExp): void {
  const ours = error instanceof front.KvjudgeError || error instanceof front.OptionError;
  assert(ours, `${what}: ${error instanceof Error ? error.stack : "nothing was wrong"}`);
  assertMatch(error.message, /^Cannot [^\n]{10,400}$/, what);
  assert(!error.message.includes("Nobody"), `${what}: ${error.message}`);
  if (message) assertMatch(error.message, message, what);
}

const NO_PROMPTS: readonly (readonly [given: unknown, message: RegExp])[] = [
  [5, /a prompt is a text, which is a user's message, .* got 5$/],
  [null, /got null$/],
  [{}, /got an object$/],
  [{ prompt: DOCUMENT }, /got an object of prompt$|there is no option 'prompt'/],
  [[{ role: "user", content: DOCUMENT }], /got an array$/],
  [{ messages: DOCUMENT }, /'messages' must be an array such as .* got a text$/],
  [{ messages: [DOCUMENT] }, /message 0 must be an object, got a text$/],
  [{ messages: [{ role: "user", content: [DOCUMENT] }] }, /'content' of message 0 .* an array$/],
  [{ messages: [{ content: DOCUMENT }] }, /'role' of message 0 must be a text, got nothing$/],
  [{ text: 5 }, /'text' must be a text, got 5$/],
  [{ ids: DOCUMENT }, /'ids' must be an array of token ids, got a text$/],
  [{ ids: ["1"] }, /ids must be integers from 0 to/],
  [{ ids: [[1, 2]] }, /ids must be integers from 0 to/],
  [{ document: { text: DOCUMENT } }, /'document' must be a text, got an object$/],
  [{ ids: [1], text: DOCUMENT }, /a prompt is .*, got an object of ids, text$/],
  [{ messages: [{ role: "user", content: "x" }], system: "y" }, /an object of messages, system$/],
  [{ text: "x", maxTokens: 5 }, /got an object of text, maxTokens$/],
  [{ document: "x", system: 5 }, /'system' must be a text, got 5$/],
];

const NO_SESSIONS: readonly (readonly [given: unknown, message: RegExp])[] = [
  [null, /its options must be an object, got null$/],
  ["snapkv", /its options must be an object, got a text$/],
  [{ policy: "snapkv" }, /'policy' must be a policy, got a text; await createP/],
  [{ policy: front.snapKv }, /'policy' must be a policy, got a function/],
  [{ policy: front.createPolicy("snapkv") }, /'policy' must be a policy, got Promise/],
  [{ policy: null }, /'policy' must be a policy, got null/],
  [{ budget: null }, /Cannot use null as a budget/],
  [{ budget: "10%" }, /Cannot use "10%" as a budget/],
  [{ polcy: front.full() }, /there is no option 'polcy'; there are policy, budget/],
  [{ protectSystem: "no" }, /'protectSystem' must be true or false, got a text$/],
];

const NO_READING: readonly (readonly [given: unknown, message: RegExp])[] = [
  [null, /its options must be an object, got null$/],
  [{ signal: 5 }, /'signal' must be the signal of an AbortController, got 5$/],
  [{ onProgress: 5 }, /'onProgress' must be a function, got 5$/],
  [{ inPieces: "yes" }, /'inPieces' must be true or false, got a text$/],
];

const NO_ANSWERS: readonly (readonly [given: unknown, message: RegExp])[] = [
  ...NO_READING,
  [{ max_tokens: 5 }, /there is no option 'max_tokens'; there are .*maxTokens/],
  [{ maxTokens: "5" }, /'maxTokens' must be an integer of at least 1, got 5$/],
  [{ stop: "x" }, /'stop' must be an array of texts, got a text$/],
  [{ stop: [5] }, /'stop' must be an array of texts, got an array of something else$/],
  [
    { constraint: { kind: "json_object" } },
    /'constraint' must be what model.constraint\(…\) makes/,
  ],
];

Deno.test("JavaScript that gives a session what it cannot take gets a sentence, without its document", async () => {
  using folder = testFolder();
  await using model = await front.loadModel(await textModel(folder.path), {
    home: folder.path,
    threads: 1,
    precision: "fp32",
  });
  for (const [given, message] of NO_SESSIONS) {
    assertSentence(await failure(() => call(model, "session", given)), "session()", message);
  }
  await using session = model.session();
  assertEquals(session.stats().policy, "keep_all");
  const { kept } = await session.read("Hello");
  assertEquals([...session.ids], model.tokenizer.encodeChat([{ role: "user", content: "Hello" }]));
  assertEquals(kept[0]?.[0]?.length, session.ids.length);
  for (const name of ["read", "append", "generate"]) {
    for (const [given, message] of NO_PROMPTS) {
      if (name === "generate" && Object.keys(Object(given)).length === 0) continue;
      assertSentence(await failure(() => call(session, name, given)), name, message);
    }
    for (const [given, message] of name === "generate" ? NO_ANSWERS : NO_READING) {
      const error = await failure(() => call(session, name, { text: "Hi" }, given));
      assertSentence(error, name, message);
    }
  }
  const others: readonly (readonly [name: string, ...given: readonly unknown[]])[] = [
    ["read", { text: "Hi" }, { protect: 5 }],
    ["ask"],
    ["ask", { question: DOCUMENT }],
    ["ask", "Who?", null],
    ["rollback"],
    ["rollback", 5],
    ["fork", null],
    ["configure", "x"],
    ["save"],
    ["load", null],
  ];
  for (const [name, ...given] of others) {
    assertSentence(await failure(() => call(session, name, ...given)), name);
  }
  // Nothing of all that has happened.
  assertEquals([...session.ids], model.tokenizer.encodeChat([{ role: "user", content: "Hello" }]));
  for (const given of [undefined, null, { type: "object" }, { kind: "yaml" }]) {
    assertSentence(await failure(() => call(model, "constraint", given)), "constraint()");
  }
  for (const given of [undefined, 5, DOCUMENT]) {
    assertSentence(await failure(() => call(model.tokenizer, "encodeChat", given)), "encodeChat()");
  }
});

/** Functions that may be called with nothing. */
const NEED_NOTHING = new Set(["homeFolder", "longBenchTasks", "parseCard"]);

Deno.test("every public function that is given nothing, null or a number says what it needs", async () => {
  const entries = { front, plugins, models, sessions, engine, evaluation, training };
  for (const [entry, all] of Object.entries(entries)) {
    for (const [name, value] of Object.entries(all)) {
      // Policies take no options, and classes are made with `new`.
      if (typeof value !== "function" || /^[A-Z]/.test(name) || NEED_NOTHING.has(name)) continue;
      const isPolicy = await failure(() => value()) === undefined;
      for (const given of isPolicy ? [null, 5] : [undefined, null, 5]) {
        const error = await failure(() => Reflect.apply(value, undefined, [given]));
        assertSentence(error, `${entry}.${name}(${given})`);
      }
    }
  }
});

Deno.test("loadModel() says what its options must be", async () => {
  const cases: readonly (readonly [given: unknown, message: RegExp])[] = [
    [null, /its options must be an object, got null/],
    [{ precision: 8 }, /'precision' must be a text, got 8/],
    [{ precision: "fp8" }, /fp8/],
    [{ device: "tpu" }, /tpu/],
    [{ home: 5 }, /'home' must be a text, got 5/],
    [{ threads: "2" }, /'threads' must be an integer/],
    [{ dtype: "fp32" }, /there is no option 'dtype'; there are precision, device/],
  ];
  const folder = new URL("fixtures/tiny-llama", import.meta.url).pathname;
  for (const [given, message] of cases) {
    assertSentence(await failure(() => call(front, "loadModel", folder, given)), "", message);
  }
});
