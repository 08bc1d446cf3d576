import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import type { ChatMessage, Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import type { ConversationSet, TrainingExample } from "../../training/data/example.ts";
import { TrainingError } from "../../training/errors.ts";
import { trainingPrompts } from "../../training/prompts.ts";
import { SMALL } from "./_run.ts";

/** A token per character, and one before each turn and at the end. */
const tokenizer = {
  hasChatTemplate: true,
  encode: (text: string) => [...text].map((character) => character.charCodeAt(0)),
  encodeChat: (messages: readonly ChatMessage[]) => [
    ...messages.flatMap(({ role, content }) => [role === "user" ? 1 : 2, ...idsOf(content)]),
    3,
  ],
} as Partial<Tokenizer> as Tokenizer;

function idsOf(text: string): number[] {
  return [...text].map((character) => character.charCodeAt(0));
}

function example(content: string, rest: Partial<TrainingExample> = {}): TrainingExample {
  return { messages: [{ role: "user", content }], kind: "general", line: 1, ...rest };
}

function setOf(examples: readonly TrainingExample[]): ConversationSet {
  return { examples, skipped: [], hash: "" };
}

const numbered = (count: number, rest?: Partial<TrainingExample>) =>
  Array.from({ length: count }, (_, index) => example(`question ${index}`, rest));

const textOf = ({ ids }: { readonly ids: readonly number[] }) => String.fromCharCode(...ids);

Deno.test("trainingPrompts() ends a conversation with its last user turn, earlier turns before it", () => {
  const messages = [
    { role: "user", content: "a" },
    { role: "assistant", content: "b" },
    { role: "user", content: "c" },
  ];
  const set = setOf([example("", { messages, response: "never part of the prompt" })]);
  const { train, validate } = trainingPrompts(set, tokenizer, 100, SMALL);
  assertEquals(validate, []);
  assertEquals(train.map(({ ids }) => ids), [[1, 97, 2, 98, 1, 99, 3]]);
});

Deno.test("trainingPrompts() gives a base model questions and answers, the next one left out", () => {
  const base = { ...tokenizer, hasChatTemplate: false };
  const set = setOf([example("a", { response: "b\n" }), example("c", { response: "d " })]);
  const { train: [own] } = trainingPrompts(set, base, 100, SMALL);
  assertEquals(own?.response, { kind: "self", tokens: SMALL.responseTokens, until: "\nQuestion:" });
  const { train } = trainingPrompts(set, base, 100, {
    ...SMALL,
    validate: 0,
    responses: "original",
  });
  const read = train.map(({ ids, response }) => [
    String.fromCharCode(...ids),
    response.kind === "original" ? String.fromCharCode(...response.ids) : response,
  ]);
  assertEquals(read.toSorted(), [["Question: a\nAnswer:", " b"], ["Question: c\nAnswer:", " d"]]);
});

Deno.test("trainingPrompts() never trains on what it validates with", () => {
  const set = setOf([...numbered(30), ...numbered(30)]);
  const settings = { ...SMALL, samples: 20, validate: 10, codeShare: 0 };
  const { train, validate, notes } = trainingPrompts(set, tokenizer, 100, settings);
  assertEquals([train.length, validate.length], [20, 10]);
  assertEquals(new Set([...train, ...validate].map(textOf)).size, 30);
  assertEquals(notes, ["duplicates left out: 30"]);
});

Deno.test("trainingPrompts() holds out the same examples however many it trains on", () => {
  const set = setOf(numbered(50));
  const chosen = (samples: number, seed = 0) => {
    const settings = { ...SMALL, samples, validate: 5, codeShare: 0, seed };
    const { train, validate } = trainingPrompts(set, tokenizer, 100, settings);
    return { train: train.map(textOf), validate: validate.map(textOf) };
  };
  const [few, many] = [chosen(10), chosen(40)];
  assertEquals(few.validate, many.validate);
  assertEquals(few.train, many.train.slice(0, 10));
  assertEquals(chosen(10), few);
  assert(chosen(10, 1).validate.join() !== few.validate.join());
});

Deno.test("trainingPrompts() leaves out what is too long and counts it", () => {
  const set = setOf([...numbered(4), example("x".repeat(50)), example("y".repeat(60))]);
  const settings = { ...SMALL, samples: 4, validate: 2, codeShare: 0 };
  const limited = trainingPrompts(set, tokenizer, 1000, { ...settings, maxPromptTokens: 20 });
  assertEquals(limited.notes, [
    "prompts longer than 20 tokens left out: 2",
    "examples fewer than wanted: 2; training on 2, validating on 2",
  ]);
  assert([...limited.train, ...limited.validate].every(({ ids }) => ids.length <= 20));
  // The answer and the soft tokens need room behind the prompt as well.
  const small = trainingPrompts(set, tokenizer, 60, { ...settings, responseTokens: 3, tokens: 6 });
  assertEquals(small.notes[0], "prompts longer than 54 tokens left out: 1");
  // Both, where the answer is read behind the soft tokens.
  const both = { ...settings, responseTokens: 3, tokens: 6 };
  const behind = trainingPrompts(set, tokenizer, 60, both, { behind: 9 });
  assertEquals(behind.notes[0], "prompts longer than 51 tokens left out: 2");
  const answers = { ...settings, responseTokens: 45 };
  const tight = trainingPrompts(set, tokenizer, 60, answers);
  assertEquals(tight.notes[0], "prompts longer than 15 tokens left out: 2");
  const error = assertThrows(
    () => trainingPrompts(set, tokenizer, 50, answers),
    TrainingError,
  );
  const full = assertThrows(() => trainingPrompts(set, tokenizer, 45, answers), TrainingError);
  assertEquals(
    full.message,
    "Cannot train: the model reads 45 tokens, which leaves none for a prompt; lower " +
      "'responseTokens'",
  );
  assertMatch(error.message, /all 6 prompts are longer than 5 tokens; the model reads 50, so/);
});

Deno.test("trainingPrompts() takes code by its share and says where it lacks", () => {
  const code = Array.from({ length: 10 }, (_, index) => example(`code ${index}`, { kind: "code" }));
  const countCode = (codeShare: number) => {
    const settings = { ...SMALL, samples: 16, validate: 4, codeShare };
    const { train, validate, notes } = trainingPrompts(
      setOf([...numbered(40), ...code]),
      tokenizer,
      100,
      settings,
    );
    const count = [...train, ...validate].filter((one) => textOf(one).includes("code")).length;
    return [count, notes];
  };
  assertEquals(countCode(0), [0, []]);
  assertEquals(countCode(0.1), [2, []]);
  assertEquals(countCode(0.5), [10, []]);
  assertEquals(countCode(0.8), [10, ["examples of code: 10 of 20, 16 were wanted"]]);
});

Deno.test("trainingPrompts() takes the data's answers if asked to, cut to length", () => {
  const set = setOf([example("a", { response: "yes, indeed" }), example("b")]);
  const of = (responses: "self" | "original") =>
    trainingPrompts(set, tokenizer, 100, {
      ...SMALL,
      validate: 0,
      samples: 2,
      codeShare: 0,
      responses,
    });
  const self = of("self");
  assertEquals(self.train.map(({ response }) => response), [
    { kind: "self", tokens: 4 },
    { kind: "self", tokens: 4 },
  ]);
  assertEquals(self.notes, []);
  const original = of("original");
  assertEquals(original.train.map(({ response }) => response.kind).toSorted(), [
    "original",
    "self",
  ]);
  assert(
    original.train.some(({ response }) =>
      response.kind === "original" && response.ids.join() === idsOf("yes,").join()
    ),
  );
  assertEquals(original.notes, ["examples without an answer, which the model gives: 1"]);
});

Deno.test("trainingPrompts() reads what is said later behind the prompt where the answer is known", () => {
  const set = setOf([example("text", { response: "answer", later: "\n\nquestion?" })]);
  const settings = { ...SMALL, responses: "original", responseTokens: 3 } as const;
  const { train: [prompt] } = trainingPrompts(set, tokenizer, 100, settings);
  assertEquals(prompt && textOf(prompt), "\u0001text\n\n");
  const { response } = prompt ?? {};
  assertEquals(response?.kind === "original" && textOf(response), "question?\u0003ans");
  const { train: [own] } = trainingPrompts(set, tokenizer, 100, SMALL);
  assertEquals(own && textOf(own), "\u0001text\n\nquestion?\u0003");
  // Together they are longer than what the model reads, though the prompt alone is not.
  const short = [example("x", { response: "y" }), ...set.examples];
  assertEquals(trainingPrompts(setOf(short), tokenizer, 18, settings).train.length, 1);
});

Deno.test("trainingPrompts() reads how an answer begins as a part of the prompt", () => {
  const set = setOf([example("q", { response: " 123", begun: "It is" })]);
  const [original] =
    trainingPrompts(set, tokenizer, 100, { ...SMALL, responses: "original" }).train;
  assertEquals(original && textOf(original), "\u0001q\u0003It is");
  const { response } = original ?? {};
  assertEquals(response?.kind === "original" && textOf(response), " 123");
  const [own] = trainingPrompts(set, tokenizer, 100, SMALL).train;
  assertEquals([own && textOf(own), own?.response.kind], ["\u0001q\u0003It is", "self"]);
  const later = setOf([example("q", { response: " 123", begun: "It is", later: " What?" })]);
  const [last] = trainingPrompts(later, tokenizer, 100, { ...SMALL, responses: "original" }).train;
  assertEquals(
    last?.response.kind === "original" && textOf(last.response),
    "What?\u0003It is 123",
  );
});

Deno.test("trainingPrompts() leaves out prompts without a token to compare", () => {
  const set = setOf([example("short"), example("long enough, this one")]);
  const settings = { ...SMALL, leaveFirst: 4, leaveLast: 6 };
  const { train, notes } = trainingPrompts(set, tokenizer, 100, settings);
  assertEquals(train.map(textOf), ["\u0001long enough, this one\u0003"]);
  assert(notes.includes("prompts shorter than 11 tokens left out: 1"), notes.join());
  assertThrows(
    () => trainingPrompts(setOf([example("short")]), tokenizer, 100, settings),
    TrainingError,
    "1 prompts are shorter than 11 tokens, which leaves nothing to compare, and 0 longer than",
  );
});

Deno.test("trainingPrompts() reads a text that is to be repeated with its turn open, without a question", () => {
  const set = setOf([example("text ", { response: "answer", later: "question?" })]);
  const settings = { ...SMALL, target: "reconstruct", responses: "original" } as const;
  const { train: [prompt], notes } = trainingPrompts(set, tokenizer, 100, settings);
  assertEquals(prompt && textOf(prompt), "\u0001text\n\n");
  assertEquals(prompt?.response, { kind: "repeated", chunk: 2048 });
  assertEquals(notes.filter((note) => note.includes("without an answer")), []);
});
