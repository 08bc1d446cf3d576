import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { makeCodes } from "../../../evaluation/right_answers/codes.ts";
import { makeFacts } from "../../../evaluation/right_answers/facts.ts";
import { rulerTasks } from "../../../evaluation/benchmarks/ruler/tasks.ts";
import { copyingTasks } from "../../../scripts/training_data/copying/copying.ts";
import { estimateTokens } from "../../../scripts/training_data/copying/exercise.ts";
import { exerciseKinds } from "../../../scripts/training_data/copying/kinds.ts";
import { VOCABULARY } from "../../../scripts/training_data/copying/vocabulary.ts";
import { lookups } from "../../../scripts/training_data/lookups.ts";
import type { Recipe } from "../../../scripts/training_data/recipes.ts";
import { sentencesOf } from "../../../scripts/training_data/sentences.ts";
import { createPrng } from "../../../policies/_random.ts";
import { TrainingError } from "../../../training/errors.ts";

const prose = Array.from(
  { length: 900 },
  (_, index) => `Sentence ${index} of the prose says little, but at some length.`,
);

const request = { count: 99, tokens: [500, 2000], prose, seed: 1 } as const;

const [train, validation] = (["train", "validation"] as const).map((split) =>
  copyingTasks({ ...request, split })
) as [Recipe[], Recipe[]];

const promptOf = ({ messages: [prompt], later = "" }: Recipe) => `${prompt?.content}${later}`;
const answerOf = ({ messages: [, reply], begun = "" }: Recipe) => `${begun}${reply?.content}`;

Deno.test("copyingTasks() makes every kind with every place of the question, the same ones again", () => {
  assertEquals(copyingTasks({ ...request, split: "train" }), train);
  assertNotEquals(copyingTasks({ ...request, split: "train", seed: 2 }), train);
  const kinds = Object.keys(exerciseKinds("train")).map((kind) => `copy_${kind}`);
  assertEquals(kinds.length, 11);
  for (const kind of kinds) {
    const own = train.filter(({ source }) => source === kind);
    assertEquals(own.length, 9);
    assertEquals(own.filter(({ later }) => later !== undefined).length, 3, kind);
  }
  const begun = train.filter((recipe) => recipe.begun !== undefined);
  assert(begun.length > 12 && begun.length < 50, `${begun.length}`);
  for (const { begun: text, later, messages } of begun) {
    assertEquals([later, text?.trimEnd()], [undefined, text]);
    assert(/^ /.test(messages[1]?.content ?? "") || text?.endsWith('"'), text);
  }
  // A shorter list is the beginning of a longer one.
  assertEquals(copyingTasks({ ...request, split: "train", count: 20 }), train.slice(0, 20));
});

Deno.test("copyingTasks() gives answers that stand in the text", () => {
  for (const recipe of [...train, ...validation]) {
    const prompt = promptOf(recipe);
    const copied = answerOf(recipe).match(/\d{4,}|[A-Za-z0-9:]{32,}|[A-Z][a-z]+/g) ?? [];
    assert(copied.length > 0, answerOf(recipe));
    for (const one of copied) {
      if (
        ["By", "They", "The", "For", "In", "One", "It", "When", "Another", "Receipt", "On"]
          .includes(one)
      ) continue;
      assert(prompt.includes(one), `${recipe.source}: ${one}`);
    }
  }
});

const namesOf = ({ messages: [, reply] }: Recipe) => reply?.content.trim().split(/, | and /);

Deno.test("copyingTasks() asks for the words that stand most often, and for whole chains", () => {
  for (const recipe of train.filter(({ source }) => source === "copy_frequent")) {
    const [, text = ""] = /:\s([\s\S]*)/.exec(promptOf(recipe)) ?? [];
    const counts = new Map<string, number>();
    for (const word of text.match(/\b[A-Z][a-z]+\b/g) ?? []) {
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    const most = [...counts].sort(([, a], [, b]) => b - a).slice(0, 3).map(([word]) => word);
    assertEquals(namesOf(recipe), most);
  }
  for (const recipe of validation.filter(({ source }) => source === "copy_traces")) {
    const prompt = promptOf(recipe);
    const value = /registers that hold (\d+)/.exec(prompt)?.[1];
    const chain = [new RegExp(`Register (\\w+) is loaded with ${value}`).exec(prompt)?.[1] ?? ""];
    for (let next: string | undefined = chain[0]; next !== undefined;) {
      next = new RegExp(`Register (\\w+) is a copy of register ${next}\\.`).exec(prompt)?.[1];
      if (next !== undefined) chain.push(next);
    }
    assertEquals(namesOf(recipe), chain);
  }
});

Deno.test("copyingTasks() keeps lengths between the bounds, and spreads them", () => {
  const lengths = train.map((recipe) => estimateTokens(promptOf(recipe)));
  assert(Math.min(...lengths) > 300 && Math.max(...lengths) < 2600, `${lengths}`);
  assert(lengths.filter((length) => length < 750).length > 25);
  assert(lengths.filter((length) => length > 1000).length > 25);
});

/** What is said in a text, names and numbers apart: lines and sentences of several words. */
function wordings(texts: readonly string[]): Set<string> {
  return new Set(
    texts.flatMap((text) => text.split(/\n|(?<=[.!?]) /))
      .map((line) => line.replace(/\b[A-Z]\w*|\d[\w:-]*/g, "#").trim())
      .filter((line) => (line.match(/\b[a-z]+/g) ?? []).length > 2)
      .filter((line) => !line.includes("prose says")),
  );
}

Deno.test("copyingTasks() shares no line with RULER, right_answers, the lookups or the other split", () => {
  const haystack = prose.join(" ");
  const countTokens = estimateTokens;
  const ruler = rulerTasks({ haystack }).flatMap((task) =>
    [...task.generate({ tokens: 1024, samples: 2, seed: 3, countTokens })].map((sample) =>
      `${sample.context}\n${sample.question}\n${sample.prefix}`
    )
  );
  const tokenizer = { encode: (text: string) => [...text].map(Number) };
  const paragraphs = Array.from(
    { length: 40 },
    (_, at) => prose.slice(20 * at, 20 * at + 20).join(" "),
  ).join("\n\n");
  const items = (["test", "validation"] as const).flatMap((split) => [
    ...makeCodes({ items: 20, seed: 0, split }),
    ...makeFacts({ items: 20, seed: 0, split, haystack: paragraphs, tokens: 900, tokenizer }),
  ]).map(({ document, question, frames }) => frames.end(document, question));
  const [own, other] = [train, validation].map((set) =>
    wordings(set.flatMap((recipe) => [promptOf(recipe), answerOf(recipe)]))
  ) as [Set<string>, Set<string>];
  assert(own.size > 20 && other.size > 10, `${own.size}, ${other.size}`);
  const foreign = wordings([
    ...[...ruler, ...items],
    ...lookups(haystack, 60, createPrng(1)).map(promptOf),
  ]);
  assert(foreign.size > 40, `${foreign.size}`);
  for (const line of own) assert(!foreign.has(line) && !other.has(line), line);
  for (const line of other) assert(!foreign.has(line), line);
  for (const part of ["people", "places", "things", "syllables"] as const) {
    const names = new Set(VOCABULARY.train[part]);
    for (const name of VOCABULARY.validation[part]) assert(!names.has(name), name);
  }
});

Deno.test("copyingTasks() refuses lengths and prose that do not do", () => {
  const refused = (changes: Partial<Parameters<typeof copyingTasks>[0]>) =>
    assertThrows(
      () => copyingTasks({ ...request, split: "train", ...changes }),
      TrainingError,
    ).message;
  assert(/of 100 to 200 tokens.*at least 200/.test(refused({ tokens: [100, 200] })));
  assert(/of 900 to 800 tokens/.test(refused({ tokens: [900, 800] })));
  assert(/of NaN to NaN tokens/.test(refused({ tokens: [NaN, NaN] })));
  assert(/the prose of the train split has \d+; give/.test(refused({ prose: prose.slice(0, 9) })));
});

Deno.test("sentencesOf() leaves headings and calls out", () => {
  const long = "It was a long night, and nobody slept.";
  assertEquals(sentencesOf(`Stop! ${long}\n\nACT I. ${long}`), [long, long]);
});
