import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { BenchmarkError } from "../../../../evaluation/benchmarks/errors.ts";
import { createDraw } from "../../../../evaluation/benchmarks/generation/draw.ts";
import { promptText } from "../../../../evaluation/benchmarks/benchmark.ts";
import {
  findLongBenchFiles,
  type LongBenchFile,
} from "../../../../evaluation/benchmarks/longbench/find_files.ts";
import { longBenchTasks } from "../../../../evaluation/benchmarks/longbench/longbench.ts";
import { readLongBenchFile } from "../../../../evaluation/benchmarks/longbench/read_file.ts";
import type { LongBenchOptions } from "../../../../evaluation/benchmarks/longbench/sample.ts";
import { testFolder } from "../../../commands/_run_cli.ts";
import { fixture } from "../../../_test_model.ts";

/** A token for each character. */
const tokenizer = {
  encode: (text: string) => Array.from(text, (character) => character.codePointAt(0) ?? 0),
  decode: (ids: Iterable<number>) => String.fromCodePoint(...ids),
};
const options = { tokens: 10_000, tokenizer };

async function samplesOf(file: LongBenchFile | undefined, given: LongBenchOptions = options) {
  assert(file);
  return (await readLongBenchFile(file, given)).samples;
}

Deno.test("findLongBenchFiles() finds the files of a folder in LongBench's order", async () => {
  const files = await findLongBenchFiles(fixture("longbench"));
  assertEquals(files.map(({ task }) => task.name), ["multifieldqa_zh", "qmsum", "trec", "lcc"]);
  const [one] = await findLongBenchFiles(fixture("longbench/trec.jsonl"));
  assertEquals(one?.task.name, "trec");
});

Deno.test("readLongBenchFile() makes LongBench's prompts of JSONL and Parquet", async () => {
  const prompts = await Promise.all(
    (await findLongBenchFiles(fixture("longbench"))).map((file) => samplesOf(file)),
  );
  const [chinese, query, examples, code] = prompts.map(([sample]) => sample);
  assert(chinese && query && examples && code);
  assertEquals(
    promptText(chinese, "last"),
    "阅读以下文字并用中文简短回答：\n\n会议由李明主持，讨论了明年的预算。\n\n现在请基于上面的文章回答下面的问题，" +
      "只告诉我答案，不要输出任何其他字词。\n\n问题：谁主持了会议？\n回答：",
  );
  assertEquals([chinese.answers, chinese.maxTokens, chinese.plain], [["李明"], 64, undefined]);
  assertMatch(
    query.question,
    /^\n\nNow, answer .*\n\nQuery: What did the baker ask for\?$/,
  );
  assertEquals([query.prefix, query.prefixInTurn], ["\nAnswer:", true]);
  assertEquals(query.facts, { words: 20, bucket: "0-4k", cut: 0 });
  assertEquals(examples.classes, ["City", "Individual", "Other location", "Country"]);
  assertEquals([examples.plain, code.plain], [true, true]);
  assert(
    code.context.endsWith("def subtract(a, b):\n") && code.prefix === "Next line of code:\n",
  );
  assertEquals(prompts[0]?.length, 2);
});

Deno.test("readLongBenchFile() takes the middle out of what is too long, and keeps the question", async () => {
  const [file] = await findLongBenchFiles(fixture("longbench/qmsum.jsonl"));
  const [whole] = await samplesOf(file);
  const [cut] = await samplesOf(file, { ...options, tokens: 301 });
  assert(whole && cut);
  const text = promptText(whole, "last");
  assertEquals([cut.question, cut.prefix], [whole.question, whole.prefix]);
  assertEquals(promptText(cut, "last"), text.slice(0, 150) + text.slice(-150));
  assertEquals([whole.facts.cut, cut.facts.cut], [0, text.length - 300]);
  // A question that is longer than half loses its beginning, and the cue stays.
  const [short] = await samplesOf(file, { ...options, tokens: 40 });
  assertEquals(
    [short?.context, short?.question, short?.prefix],
    [text.slice(0, 20), text.slice(-20, -8), "\nAnswer:"],
  );
  const [shortest] = await samplesOf(file, { ...options, tokens: 8 });
  assertEquals([shortest?.context, shortest?.question], ["You ", "wer:"]);
});

Deno.test("readLongBenchFile() cuts no character in two and never gives more tokens than asked", async () => {
  const [file] = await findLongBenchFiles(fixture("longbench/multifieldqa_zh.parquet"));
  const bytes = {
    encode: (text: string) => [...new TextEncoder().encode(text)],
    decode: (ids: Iterable<number>) => new TextDecoder().decode(Uint8Array.from(ids)),
  };
  const [whole] = await samplesOf(file);
  assert(whole);
  const text = promptText(whole, "last");
  for (const tokens of [100, 101, 102, 103, 104, 105]) {
    const [cut] = await samplesOf(file, { tokens, tokenizer: bytes });
    const short = promptText(cut ?? whole, "last");
    const at = [...short].findIndex((character, place) => character !== [...text][place]);
    assert(text.startsWith([...short].slice(0, at).join("")), `${tokens}`);
    assert(text.endsWith([...short].slice(at).join("")), `${tokens}`);
    const size = bytes.encode(short).length;
    assert(size <= tokens && size > tokens - 7, `${size} of ${tokens}`);
  }
  // Where halves are joined, this tokenizer counts one more.
  const odd = {
    encode: (text: string) => [...tokenizer.encode(text), ...(text.length < 60 ? [33] : [])],
    decode: tokenizer.decode,
  };
  const [cut] = await samplesOf(file, { tokens: 50, tokenizer: odd });
  assertEquals(promptText(cut ?? whole, "last").length, 48);
});

Deno.test("longBenchTasks() says which tasks have a question, and which one that can stand first", async () => {
  const tasks = await longBenchTasks();
  const names = (wanted: boolean, what: "hasQuestion" | "questionFirst") =>
    tasks.filter((task) => task[what] === wanted).map(({ name }) => name).join();
  assertEquals(names(false, "hasQuestion"), "vcsum,lcc");
  assertEquals(names(false, "questionFirst"), "vcsum,trec,triviaqa,samsum,lsht,lcc,repobench-p");
});

Deno.test("findLongBenchFiles() finds parts of files, a folder of data and LongBench-E", async () => {
  using folder = testFolder();
  const line = (input: string) =>
    JSON.stringify({ input, context: "So.", answers: ["so"], length: 5000, dataset: "qmsum_e" });
  await Deno.mkdir(`${folder.path}/data/qmsum`, { recursive: true });
  await Deno.writeTextFile(`${folder.path}/data/qmsum/test-1.jsonl`, line("three"));
  await Deno.writeTextFile(
    `${folder.path}/data/qmsum/test-0.jsonl`,
    `${line("one")}\n${line("two")}`,
  );
  await Deno.writeTextFile(`${folder.path}/data/qmsum/notes.txt`, "");
  await Deno.writeTextFile(
    `${folder.path}/data/qasper_e.jsonl`,
    line("even").replace("qmsum", "qasper"),
  );
  const [parts, ...others] = await findLongBenchFiles(folder.path);
  assert(parts && others.length === 0);
  const { samples, hashes } = await readLongBenchFile(parts, options);
  assertEquals(samples.map(({ id }) => id), ["qmsum-0", "qmsum-1", "qmsum-2"]);
  assertEquals(
    samples.map(({ question }) => question.split(" ").at(-1)),
    ["one", "two", "three"],
  );
  assertEquals([hashes.length, hashes[0]?.length], [2, 64]);
  assertEquals((await samplesOf(parts, { ...options, samples: 2 })).length, 2);
  const even = await findLongBenchFiles(`${folder.path}/`, { evenLengths: true });
  assertEquals(even.map(({ task }) => task.name), ["qasper"]);
  const [sample] = await samplesOf(even[0]);
  assertEquals(sample?.facts.bucket, "4-8k");
  await assertRejects(
    () => findLongBenchFiles(fixture("longbench"), { evenLengths: true }),
    BenchmarkError,
    "NAME_e.jsonl",
  );
});

Deno.test("readLongBenchFile() names the place in a file that is broken", async () => {
  using folder = testFolder();
  const good = { input: "Why?", context: "So.", answers: ["so"], all_classes: null };
  const cases: [name: string, content: string | Uint8Array, message: string][] = [
    ["qmsum.jsonl", "", "it is empty"],
    ["qmsum.jsonl", `${JSON.stringify(good)}\n{"input"`, "qmsum.jsonl, line 2,"],
    ["qmsum.jsonl", JSON.stringify({ ...good, context: 3 }), '"context" must be a text'],
    ["qmsum.jsonl", JSON.stringify({ ...good, answers: "so" }), '"answers" must be an array'],
    ["qmsum.jsonl", JSON.stringify({ ...good, answers: [1] }), '"answers[0]" must be a text'],
    [
      "qmsum.jsonl",
      JSON.stringify({ ...good, answers: [] }),
      'line 1, as LongBench: "answers" must',
    ],
    ["qmsum.jsonl", JSON.stringify({ context: "So.", answers: ["so"] }), '"input" must be a text'],
    ["qmsum.jsonl", JSON.stringify({ ...good, dataset: "lcc" }), '"dataset" is "lcc", not "qmsum"'],
    ["qmsum.jsonl", "[]", "must be an object"],
    ["passage_retrieval_en.jsonl", JSON.stringify(good), 'as in "Paragraph 1"'],
    ["trec.jsonl", JSON.stringify(good), '"all_classes" must be an array'],
    [
      "trec.jsonl",
      JSON.stringify({ ...good, all_classes: [] }),
      '"all_classes" must be an array that is not empty',
    ],
    ["trec.jsonl", JSON.stringify({ ...good, all_classes: "A" }), '"all_classes" must be an array'],
    ["qmsum.jsonl", new Uint8Array([0xff, 0xfe, 0x41]), "it is not UTF-8 text"],
    ["qmsum.parquet", "PAR1 and no more", "as a table of Parquet"],
    [
      "multifieldqa_zh.parquet",
      Deno.readFileSync(fixture("longbench/multifieldqa_zh.parquet")).subarray(0, 900),
      "as a table of Parquet",
    ],
  ];
  for (const [name, content, message] of cases) {
    const path = `${folder.path}/${name}`;
    await (typeof content === "string"
      ? Deno.writeTextFile(path, content)
      : Deno.writeFile(path, content));
    const [file] = await findLongBenchFiles(path);
    assert(file);
    await assertRejects(() => readLongBenchFile(file, options), BenchmarkError, message);
  }
  await assertRejects(() => findLongBenchFiles(`${folder.path}/none`), BenchmarkError, "no such");
  await Deno.mkdir(`${folder.path}/empty`);
  await assertRejects(
    () => findLongBenchFiles(`${folder.path}/empty`),
    BenchmarkError,
    "Cannot find a file of LongBench",
  );
  await Deno.writeTextFile(`${folder.path}/odd.txt`, "");
  await assertRejects(
    () => findLongBenchFiles(`${folder.path}/odd.txt`),
    BenchmarkError,
    "Cannot tell the task",
  );
});

Deno.test("readLongBenchFile() names what is wrong with any damaged table", async () => {
  using folder = testFolder();
  const path = `${folder.path}/multifieldqa_zh.parquet`;
  const good = Deno.readFileSync(fixture("longbench/multifieldqa_zh.parquet"));
  await Deno.writeFile(path, good);
  const [file] = await findLongBenchFiles(path);
  assert(file);
  assertEquals((await samplesOf(file, { ...options, samples: 1 })).length, 1);
  const draw = createDraw("damaged tables", 1);
  let refused = 0;
  for (let at = 0; at < 200; at++) {
    const bytes = good.slice(0, at % 5 === 0 ? draw.integer(0, good.length) : good.length);
    for (const place of draw.indices(bytes.length, 4)) bytes[place] = draw.integer(0, 255);
    await Deno.writeFile(path, bytes);
    // What else goes wrong, also behind the back of this test, ends it.
    try {
      await samplesOf(file);
    } catch (error) {
      if (!(error instanceof BenchmarkError)) throw error;
      refused++;
    }
  }
  assert(refused > 100, `${refused}`);
});
