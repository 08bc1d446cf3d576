import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import {
  type BenchmarkSample,
  type GeneratedTask,
  promptText,
} from "../../../../evaluation/benchmarks/benchmark.ts";
import { BenchmarkError } from "../../../../evaluation/benchmarks/errors.ts";
import { rulerTasks } from "../../../../evaluation/benchmarks/ruler/tasks.ts";
import { countBpe, countWords, STORY } from "../_counters.ts";
import { solverOf } from "./_solvers.ts";

const tasks = rulerTasks({ haystack: STORY });

const COUNTERS = { "byte-level BPE": countBpe, words: countWords };

function make(
  task: GeneratedTask,
  options: Partial<Parameters<GeneratedTask["generate"]>[0]> = {},
): BenchmarkSample[] {
  const request = { tokens: 1400, samples: 3, seed: 1, countTokens: countBpe, ...options };
  return [...task.generate(request)];
}

Deno.test("rulerTasks() gives RULER's thirteen tasks", () => {
  assertEquals(tasks.map(({ name }) => name), [
    ...["niah_single_1", "niah_single_2", "niah_single_3"],
    ...["niah_multikey_1", "niah_multikey_2", "niah_multikey_3"],
    ...["niah_multivalue", "niah_multiquery", "vt", "cwe", "fwe", "qa_1", "qa_2"],
  ]);
});

for (const task of tasks) {
  for (const [counter, countTokens] of Object.entries(COUNTERS)) {
    Deno.test(`${task.name} has the length that is asked for, in ${counter}`, () => {
      for (const tokens of [1400, 2048, 5000]) {
        const samples = make(task, { tokens, countTokens, samples: 4 });
        assertEquals(samples.length, 4);
        for (const sample of samples) {
          const last = countTokens(promptText(sample, "last"));
          assertEquals(sample.facts.promptTokens, last);
          assert(last <= tokens && last >= 0.98 * tokens, `${last} of ${tokens}`);
          assert(countTokens(promptText(sample, "first")) <= tokens);
        }
      }
    });
  }

  Deno.test(`${task.name} is answered by a program that reads the prompt alone`, () => {
    const solve = solverOf(task.name);
    const samples = [
      ...make(task, { samples: 8 }),
      ...make(task, { samples: 40, tokens: 6000, seed: 2, countTokens: countWords }),
    ];
    for (const sample of samples) {
      const output = solve(promptText(sample, "last"));
      assertEquals(task.metric(output, sample), 1, `${sample.id}: ${output}`);
    }
  });

  Deno.test(`${task.name} scores nothing for an output that holds no answer`, () => {
    for (const sample of make(task)) assertEquals(task.metric("I do not know it", sample), 0);
  });

  Deno.test(`${task.name} is the same for the same seed, another for another`, () => {
    const samples = make(task);
    assertEquals(make(task), samples);
    // A sample does not depend on how many are made.
    assertEquals(make(task, { samples: 1 }), samples.slice(0, 1));
    for (const seed of [2, -1, 1 + 2 ** 32]) {
      const [other] = make(task, { seed, samples: 1 });
      assertNotEquals(other && promptText(other, "last"), promptText(first(samples), "last"));
      assertEquals(other?.id, first(samples).id);
    }
    assertEquals(new Set(samples.map((sample) => promptText(sample, "last"))).size, 3);
    assertEquals(new Set(samples.map(({ id }) => id)).size, 3);
  });

  Deno.test(`${task.name} refuses a length that is too short in one sentence`, () => {
    const { message } = assertThrows(() => make(task, { tokens: 20 }), BenchmarkError);
    assert(
      message.includes(task.name) && message.includes("20 tokens") && message.includes("ask for"),
      message,
    );
    assert(!message.includes("\n"));
  });
}

function first(samples: readonly BenchmarkSample[]): BenchmarkSample {
  const [sample] = samples;
  assert(sample);
  return sample;
}

function taskOf(name: string): GeneratedTask {
  const task = tasks.find((one) => one.name === name);
  assert(task);
  return task;
}

Deno.test("generate() takes whole numbers alone", () => {
  const task = taskOf("vt");
  for (const wrong of [{ tokens: 0 }, { tokens: 10.5 }, { samples: -1 }, { seed: NaN }]) {
    const { message } = assertThrows(() => make(task, wrong), BenchmarkError);
    const [[name, value] = []] = Object.entries(wrong);
    assert(message.includes(`${name} must be a whole number`), message);
    assert(message.includes(`got ${value}`), message);
  }
  assertEquals(make(task, { samples: 0 }), []);
});

Deno.test("generate() refuses a counter that does not grow with the text", () => {
  for (const task of tasks) {
    const { message } = assertThrows(() => make(task, { countTokens: () => 7 }), BenchmarkError);
    assert(message.includes("countTokens gives 7"), message);
  }
});

Deno.test("rulerTasks() refuses a haystack without words", () => {
  assertThrows(() => rulerTasks({ haystack: " \n " }), BenchmarkError, "no words");
});

Deno.test("needles hold RULER's numbers of keys, values and questions", () => {
  const counts = (name: string) => {
    const sample = first(make(taskOf(name)));
    const needles = [...sample.context.matchAll(/special magic \w+ for (\S+) is: (\S+)\./g)];
    const asked = needles.filter(([, key = ""]) => sample.question.includes(key)).length;
    return [needles.length, asked, sample.answers.length];
  };
  assertEquals(counts("niah_single_1"), [1, 1, 1]);
  assertEquals(counts("niah_single_3"), [1, 1, 1]);
  assertEquals(counts("niah_multikey_1"), [4, 1, 1]);
  assertEquals(counts("niah_multivalue"), [4, 4, 4]);
  assertEquals(counts("niah_multiquery"), [4, 4, 4]);
  const [lines = 0, asked, answers] = counts("niah_multikey_3");
  assert(lines > 5);
  assertEquals([asked, answers], [1, 1]);
});

Deno.test("needles have RULER's wording, singular and plural", () => {
  const single = first(make(taskOf("niah_single_3"), { seed: 3 }));
  const key = /uuids for (\S+) is/.exec(single.context)?.[1];
  assert(/^[a-z]+-[a-z]+$/.test(key ?? ""));
  assert(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    .test(single.answers[0] ?? ""));
  assert(
    single.context.startsWith(
      "A special magic uuid is hidden within the following text. Make sure to memorize it. I will " +
        "quiz you about the uuid afterwards.\n",
    ),
  );
  assertEquals(
    single.question + single.prefix,
    `\nWhat is the special magic uuid for ${key} mentioned in the provided text?` +
      ` The special magic uuid for ${key} mentioned in the provided text is`,
  );
  const many = first(make(taskOf("niah_multivalue")));
  assert(many.context.startsWith("Some special magic numbers are hidden within"));
  assert(many.question.startsWith("\nWhat are all the special magic numbers for "));
  assert(many.prefix.endsWith(" mentioned in the provided text are"));
});

for (const name of ["niah_single_2", "niah_single_3", "niah_multikey_1", "niah_multivalue"]) {
  Deno.test(`${name} hides needles behind the stated share of sentences`, () => {
    for (const { context, question, facts } of make(taskOf(name), { samples: 6 })) {
      const segments = context.slice(context.indexOf("\n") + 1).split(NEEDLE);
      const counts = segments.map(sentences);
      const total = counts.reduce((sum, count) => sum + count, 0);
      const keys = [...context.matchAll(new RegExp(NEEDLE, "g"))].map(([text]) => text);
      let before = 0;
      const asked: number[] = [];
      keys.forEach((needle, at) => {
        before += counts[at] ?? 0;
        const key = / for (\S+) is/.exec(needle)?.[1] ?? "";
        if (question.includes(` ${key} `)) asked.push(before);
      });
      const depths = String(facts.depths).split(" ").map(Number);
      assertEquals(facts.depth, depths[0]);
      assertEquals(asked, depths.map((depth) => Math.floor((total * depth) / 100)));
    }
  });
}

const NEEDLE = /One of the special magic \w+ for \S+ is: \S+\./;

/** Sentences of the story, counted in another way than the task does. */
function sentences(text: string): number {
  const plain = text.trim().replace(/\b(Mr|Mrs|Dr|St)\./g, "$1");
  return plain === "" ? 0 : plain.split(/(?<=[.!?]["'’”)\]]*) /).length;
}

for (const name of ["niah_single_1", "niah_multikey_2", "niah_multikey_3"]) {
  Deno.test(`${name} hides its needle behind the stated share of lines`, () => {
    for (const { context, answers, facts } of make(taskOf(name), { samples: 6 })) {
      const lines = context.trimEnd().split("\n").slice(1);
      const at = lines.findIndex((line) => line.endsWith(` is: ${answers[0]}.`));
      const whole = lines.filter((line, index) =>
        index !== at && /^(One of .*|The grass .* back again)\.$/.test(line)
      ).length;
      assertEquals(at, Math.floor((whole * Number(facts.depth)) / 100));
    }
  });
}

Deno.test("vt has one chain of five variables, in order, behind an example of another", () => {
  for (const { context, question, answers, facts } of make(taskOf("vt"), { samples: 5 })) {
    const main = context.slice(context.lastIndexOf("Memorize and track"));
    const assigned = [...main.matchAll(/^VAR ([A-Z]{5}) = (.*)$/gm)];
    assertEquals(assigned.map(([, name]) => name), [...answers]);
    const value = /value (\d{5}) /.exec(question)?.[1];
    assertEquals(assigned.map(([, , from]) => from), [
      value,
      ...answers.slice(0, -1).map((name) => `VAR ${name} `),
    ]);
    const example = context.slice(0, context.lastIndexOf("Memorize and track"));
    assertEquals([...example.matchAll(/^VAR [A-Z]{3} = /gm)].length, 5);
    assert(!example.includes(value ?? ""));
    const lines = main.split("\n").slice(2);
    const noise = lines.filter((line) => /^The grass .* back again\.$/.test(line)).length;
    const before = lines.findIndex((line) => line.startsWith("VAR"));
    assertEquals(facts.depth, Math.round((100 * before) / noise));
  }
});

Deno.test("cwe repeats words as RULER does: 6 to 1 below 4096 tokens, else 30 to 3", () => {
  for (const [tokens, common, uncommon] of [[1500, 6, 1], [4096, 30, 3]] as const) {
    const task = taskOf("cwe");
    const { context, answers } = first(make(task, { tokens, countTokens: countWords }));
    const list = context.slice(context.lastIndexOf("Below is"));
    const counts = new Map<string, number>();
    for (const [, word = ""] of list.matchAll(/\d+\. ([a-z]+)/g)) {
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    assertEquals([...counts].filter(([, times]) => times === common).length, 10);
    assert(answers.every((answer) => counts.get(answer) === common));
    assert([...counts.values()].every((times) => times === common || times === uncommon));
  }
});

Deno.test("cwe has words for any length", () => {
  const [sample] = make(taskOf("cwe"), { tokens: 30_000, samples: 1, countTokens: countWords });
  assert(Number(sample?.facts.words) > 4000);
});

Deno.test("fwe draws from words of six letters whose frequencies fall with the square", () => {
  const { context } = first(make(taskOf("fwe"), { tokens: 4000, countTokens: countWords }));
  const words = context.slice(context.indexOf("coded words. ") + 13).split(" ");
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const [[top, most] = ["", 0], ...rest] = [...counts].sort(([, a], [, b]) => b - a);
  assertEquals(top, "...");
  rest.forEach(([word, times], at) => {
    assert(/^[a-z]{6}$/.test(word));
    assert(Math.abs(times - most / (at + 2) ** 2) <= 1, `${times} at rank ${at + 2}`);
  });
});

for (const name of ["qa_1", "qa_2"]) {
  Deno.test(`${name} numbers its documents and states where the first with the answer is`, () => {
    for (const { context, facts } of make(taskOf(name), { samples: 5 })) {
      const numbers = [...context.matchAll(/^Document (\d+):$/gm)].map(([, at]) => Number(at));
      assertEquals(numbers, numbers.map((_, at) => at + 1));
      assertEquals(facts.documents, numbers.length);
      assertEquals(facts.needles, name === "qa_1" ? 1 : 2);
      assert(Number(facts.depth) >= 0 && Number(facts.depth) < 100);
    }
  });

  Deno.test(`${name} asks every question before it asks one again`, () => {
    const samples = make(taskOf(name), { samples: 8 });
    assertEquals(new Set(samples.map(({ question }) => question)).size, 8);
  });
}
