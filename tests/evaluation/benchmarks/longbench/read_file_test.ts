import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { BenchmarkError } from "../../../../evaluation/benchmarks/errors.ts";
import {
  findLongBenchFiles,
  readLongBenchFile,
} from "../../../../evaluation/benchmarks/longbench/read_file.ts";
import { testFolder } from "../../../commands/_run_cli.ts";
import { fixture } from "../../../_test_model.ts";

/** A token for each character. */
const tokenizer = {
  encode: (text: string) => Array.from(text, (character) => character.codePointAt(0) ?? 0),
  decode: (ids: Iterable<number>) => String.fromCodePoint(...ids),
};
const options = { tokens: 10_000, tokenizer };

Deno.test("findLongBenchFiles() finds the files of a folder in LongBench's order", async () => {
  const files = await findLongBenchFiles(fixture("longbench"));
  assertEquals(files.map(({ task }) => task.name), ["multifieldqa_zh", "qmsum", "trec", "lcc"]);
  const [one] = await findLongBenchFiles(fixture("longbench/trec.jsonl"));
  assertEquals(one?.task.name, "trec");
});

Deno.test("readLongBenchFile() makes LongBench's prompts of JSONL and Parquet", async () => {
  const prompts = await Promise.all(
    (await findLongBenchFiles(fixture("longbench"))).map((file) =>
      readLongBenchFile(file, options)
    ),
  );
  const [chinese, query, examples, code] = prompts.map(([sample]) => sample);
  assert(chinese && query && examples && code);
  assertEquals(
    chinese.context + chinese.question,
    "阅读以下文字并用中文简短回答：\n\n会议由李明主持，讨论了明年的预算。\n\n现在请基于上面的文章回答下面的问题，" +
      "只告诉我答案，不要输出任何其他字词。\n\n问题：谁主持了会议？\n回答：",
  );
  assertEquals([chinese.answers, chinese.maxTokens, chinese.plain], [["李明"], 64, undefined]);
  assertMatch(
    query.question,
    /^\n\nNow, answer .*\n\nQuery: What did the baker ask for\?\nAnswer:$/,
  );
  assertEquals(examples.classes, ["City", "Individual", "Other location", "Country"]);
  assertEquals([examples.plain, code.plain], [true, true]);
  assert(
    code.context.endsWith("def subtract(a, b):\n") && code.question === "Next line of code:\n",
  );
  assertEquals(prompts[0]?.length, 2);
});

Deno.test("readLongBenchFile() takes the middle out of what is too long, and keeps the question", async () => {
  const [file] = await findLongBenchFiles(fixture("longbench/qmsum.jsonl"));
  assert(file);
  const [whole] = await readLongBenchFile(file, options);
  const [cut] = await readLongBenchFile(file, { ...options, tokens: 301 });
  assert(whole && cut);
  const text = whole.context + whole.question;
  assertEquals(cut.question, whole.question);
  assertEquals(cut.context + cut.question, text.slice(0, 150) + text.slice(-150));
  assertEquals([whole.facts.cut, cut.facts.cut], [0, 1]);
  const [short] = await readLongBenchFile(file, { ...options, tokens: 20 });
  assertEquals([short?.context, short?.question], [text.slice(0, 10) + text.slice(-10), ""]);
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
