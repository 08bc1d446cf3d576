import { assert, assertEquals, assertThrows } from "@std/assert";
import { BenchmarkError } from "../../../../evaluation/benchmarks/errors.ts";
import {
  createGeneratedTask,
  type DraftAt,
} from "../../../../evaluation/benchmarks/generation/generated_task.ts";
import { createProse } from "../../../../evaluation/benchmarks/generation/prose.ts";
import { createDraw } from "../../../../evaluation/benchmarks/generation/draw.ts";
import { countWords } from "../_counters.ts";

function taskOf(context: (size: number, index: number) => string, min = 0) {
  const open = (index: number): DraftAt => (size) => ({
    ...{ context: context(size, index), question: "Why?", prefix: "", answers: ["x"], facts: {} },
  });
  return createGeneratedTask({
    ...{ name: "made_up", summary: "", metricName: "none", metric: () => 0, maxTokens: 1 },
    prepare: () => ({ min, open }),
  });
}

const request = { tokens: 1000, samples: 3, seed: 0, countTokens: countWords };

Deno.test("createGeneratedTask() meets the length where growth is uneven", () => {
  const task = taskOf((size, index) => "a ".repeat(Math.floor(size ** (1 + index / 3))));
  for (const { facts } of task.generate(request)) {
    assert(Number(facts.promptTokens) <= 1000 && Number(facts.promptTokens) >= 980);
  }
});

Deno.test("createGeneratedTask() counts a sample's tokens a few times only", () => {
  let calls = 0;
  const countTokens = (text: string) => {
    calls++;
    return countWords(text);
  };
  const task = taskOf((size) => "a b ".repeat(size));
  assertEquals([...task.generate({ ...request, samples: 50, countTokens })].length, 50);
  assert(calls <= 2 * 50 + 4, `${calls} calls`);
});

Deno.test("createGeneratedTask() names the lengths that are possible where none fits", () => {
  const coarse = taskOf((size) => "a ".repeat(70 * size));
  assertThrows(
    () => [...coarse.generate({ ...request, tokens: 110 })],
    BenchmarkError,
    "with 110 tokens: the next that it can have are 71 and 141; ask for more tokens",
  );
  assertThrows(
    () => [...taskOf((size) => "a ".repeat(size), 200).generate({ ...request, tokens: 100 })],
    BenchmarkError,
    "Cannot make a prompt of made_up with 100 tokens: the shortest has 201; ask for more tokens",
  );
});

Deno.test("createGeneratedTask() stays below the length with the question first as well", () => {
  // The empty line between question and context counts.
  const countTokens = (text: string) => countWords(text) + 9 * (text.split("\n\n").length - 1);
  const task = taskOf((size) => "a ".repeat(size));
  for (const { facts } of task.generate({ ...request, countTokens })) {
    assert(Number(facts.promptTokens) + 9 <= 1000);
  }
});

Deno.test("createProse() repeats a text and cuts it at a word", () => {
  const prose = createProse('One two.  Three\nfour five! Mr. Six said "Seven?" and');
  assertEquals(prose.starts, [0, 2, 5, 9]);
  assertEquals(prose.sentences(4), ["One two.", "Three four"]);
  assertEquals(prose.sentences(5, 5), ['Mr. Six said "Seven?"', "and"]);
  assertEquals(prose.sentences(14).slice(3), ["and", "One two.", "Three four"]);
  assertEquals(prose.sentences(0), []);
});

Deno.test("createDraw() samples without repetition and evenly", () => {
  const draw = createDraw("test", 5);
  const counts = [0, 0, 0, 0];
  for (let round = 0; round < 4000; round++) {
    const indices = draw.indices(4, 2);
    assertEquals(new Set(indices).size, 2);
    for (const index of indices) counts[index] = (counts[index] ?? 0) + 1;
  }
  // 2000 each, with a standard deviation of 32.
  assert(counts.every((count) => Math.abs(count - 2000) < 160), String(counts));
  assertEquals(draw.indices(2, 9).sort(), [0, 1]);
  assertEquals(draw.shuffle([1, 2, 3]).sort(), [1, 2, 3]);
  const letters = new Set(draw.letters(2000));
  assertEquals(letters.size, 26);
});
