import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { type BenchmarkSample, promptText } from "../../../../evaluation/benchmarks/benchmark.ts";
import { BenchmarkError } from "../../../../evaluation/benchmarks/errors.ts";
import { createProse } from "../../../../evaluation/benchmarks/generation/prose.ts";
import {
  NIAH_DEPTHS,
  type NiahOptions,
  niahTask,
  ORIGINAL_NEEDLE,
} from "../../../../evaluation/benchmarks/niah/niah.ts";
import { countBpe, countWords, STORY } from "../_counters.ts";

function make(
  options: Partial<NiahOptions> = {},
  { tokens = 1000, samples = 11, seed = 1, countTokens = countBpe } = {},
): BenchmarkSample[] {
  const task = niahTask({ haystack: STORY, ...options });
  return [...task.generate({ tokens, samples, seed, countTokens })];
}

/** The haystack before and behind the needle. */
function around({ context }: BenchmarkSample): readonly [string, string] {
  const inner = /<context>\n(.*)\n<\/context>/s.exec(context)?.[1] ?? "";
  const [before, behind, ...more] = inner.split(ORIGINAL_NEEDLE.text);
  assert(before !== undefined && behind !== undefined && more.length === 0);
  return [before.trim(), behind.trim()];
}

for (const [name, countTokens] of Object.entries({ BPE: countBpe, words: countWords })) {
  Deno.test(`niahTask() has the length and the depth that are asked for, in ${name}`, () => {
    for (const tokens of [300, 1000, 6000]) {
      const samples = make({}, { tokens, countTokens });
      assertEquals(samples.map(({ facts }) => facts.depth), [...NIAH_DEPTHS]);
      for (const sample of samples) {
        const count = countTokens(promptText(sample, "last"));
        assert(count <= tokens && count >= 0.98 * tokens, `${count} of ${tokens}`);
        assert(countTokens(promptText(sample, "first")) <= tokens);
        const [before, behind] = around(sample);
        const [sizeBefore, sizeBehind] = [before, behind].map(countTokens);
        assert(sizeBefore !== undefined && sizeBehind !== undefined);
        const bound = (Number(sample.facts.depth) / 100) * (sizeBefore + sizeBehind);
        // Behind the last sentence that ends before the depth: one more would be too many.
        const [next = ""] = createProse(`${behind} x`).sentences(countWords(behind));
        assert(sizeBefore <= bound + SLACK, `${sizeBefore} of ${bound}`);
        assert(sizeBefore + countTokens(next) > bound - SLACK || behind === "");
      }
    }
  });
}

/** Tokens by which the parts of a text may differ from the whole. */
const SLACK = 8;

Deno.test("niahTask() puts the needle first at 0 and last at 100", () => {
  const [first, last] = make({ depths: [0, 100] }, { samples: 2 }).map(around);
  assertEquals(first?.[0], "");
  assertEquals(last?.[1], "");
});

Deno.test("niahTask() keeps the prose of a column, and changes it with column and seed", () => {
  const prose = (samples: readonly BenchmarkSample[]) =>
    samples.map((sample) => around(sample).join(" ").trim().slice(0, 300));
  const samples = make({ depths: [0, 30, 60] }, { samples: 6 });
  const [first, second, third, fourth, fifth] = prose(samples);
  assertEquals([second, third], [first, first]);
  assertEquals(fifth, fourth);
  assertNotEquals(fourth, first);
  assertEquals(make({ depths: [0, 30, 60] }, { samples: 6 }), samples);
  assertNotEquals(prose(make({ depths: [0] }, { samples: 1, seed: 2 }))[0], first);
});

Deno.test("niahTask() is answered by the sentence about San Francisco, and by nothing else", () => {
  const task = niahTask({ haystack: STORY });
  for (const sample of make()) {
    const sentences = promptText(sample, "last").split(/(?<=[.!?])\s+/);
    const found = sentences.filter((one) => /San Francisco/.test(one) && !one.endsWith("?"));
    assertEquals(task.metric(found.join(" "), sample), 1);
    assertEquals(task.metric(sentences.filter((one) => !found.includes(one)).join(" "), sample), 0);
    assertEquals(task.metric("Sit in Dolores Park.", sample), 1 / 3);
  }
});

Deno.test("niahTask() takes another needle", () => {
  const needle = { text: "The code is 7417.", question: "What is the code?", answers: ["7417"] };
  const [sample] = make({ needle }, { samples: 1 });
  assertEquals(sample?.answers, ["7417"]);
  assert(sample?.context.includes("The code is 7417."));
  assert(sample?.question.startsWith("What is the code? "));
});

Deno.test("niahTask() refuses in one sentence what it cannot hide", () => {
  const refuses = (options: Partial<NiahOptions>, why: string) =>
    assertThrows(() => make(options), BenchmarkError, why);
  refuses({ depths: [] }, "give at least one");
  refuses({ depths: [50, 101] }, "depth of 101 %: it must be from 0 to 100");
  refuses({ depths: [NaN] }, "depth of NaN %");
  refuses({ haystack: "" }, "the haystack has no words");
  refuses({ haystack: "A Sandwich." }, 'answer "sandwich" the haystack holds already');
  refuses({ needle: { ...ORIGINAL_NEEDLE, answers: [] } }, "give at least one");
  refuses({ needle: { ...ORIGINAL_NEEDLE, answers: ["Paris"] } }, 'without its answer "Paris"');
  assertThrows(() => make({}, { tokens: 60 }), BenchmarkError, "ask for more tokens");
});
