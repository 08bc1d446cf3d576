import { assertEquals, assertThrows } from "@std/assert";
import { BenchmarkError } from "../../../../evaluation/benchmarks/errors.ts";
import {
  exactMatch,
  readWordProblems,
} from "../../../../evaluation/benchmarks/word_problems/word_problems.ts";

const line = JSON.stringify({ question: "What is 600 + 600?", answer: "1,200.\n#### 1,200" });

Deno.test("exactMatch() takes the number behind the mark, else the last one", () => {
  const [sample] = readWordProblems(line, "a text", { maxTokens: 8 });
  if (!sample) throw new Error("no sample");
  const cases: [output: string, score: number][] = [
    ["600 and 600 make 1200.", 1],
    ["#### 1,200\nNow 7 more lines follow.", 1],
    ["#### 1200.00", 1],
    ["1200, no, 12", 0],
    ["-1200", 0],
    ["twelve hundred", 0],
  ];
  for (const [output, score] of cases) assertEquals(exactMatch(output, sample), score, output);
});

Deno.test("readWordProblems() names the line that is not GSM8K's", () => {
  const read = (text: string) => () => readWordProblems(text, "p.jsonl", { maxTokens: 8 });
  assertThrows(read(""), BenchmarkError, "Cannot read p.jsonl as GSM8K: it is empty");
  assertThrows(read(`${line}\n{"question": `), BenchmarkError, "p.jsonl, line 2,");
  assertThrows(read("[1]"), BenchmarkError, "it must be an object");
  assertThrows(read('{"question": "Why?"}'), BenchmarkError, '"answer" must be a text');
  assertThrows(
    read('{"question": "Why?", "answer": "so"}'),
    BenchmarkError,
    "the answer of problem 1 must end with a number",
  );
  assertEquals(readWordProblems(`${line}\n\n${line}\n`, "p", { maxTokens: 8 }).length, 2);
  assertEquals(readWordProblems(`${line}\n${line}`, "p", { maxTokens: 8, samples: 1 }).length, 1);
});
