import { assertAlmostEquals, assertEquals } from "@std/assert";
import type { BenchmarkSample } from "../../../../evaluation/benchmarks/benchmark.ts";
import { longBenchTasks } from "../../../../evaluation/benchmarks/longbench/longbench.ts";
import { rougeL } from "../../../../evaluation/benchmarks/longbench/rouge_l.ts";
import { LONGBENCH_PLANS } from "../../../../evaluation/benchmarks/longbench/plans.ts";
import { similarity } from "../../../../evaluation/benchmarks/longbench/similarity.ts";
import { sha256 } from "../../../../evaluation/run/sha256.ts";

const tasks = await longBenchTasks();

function score(name: string, output: string, answers: readonly string[], classes?: string[]) {
  const task = tasks.find((one) => one.name === name);
  if (!task) throw new Error(`no task ${name}`);
  const sample: BenchmarkSample = {
    id: "s",
    task: name,
    context: "",
    question: "",
    prefix: "",
    answers,
    maxTokens: 8,
    facts: {},
    ...(classes ? { classes } : {}),
  };
  return task.metric(output, sample);
}

// Reckoned by hand, but where a Python package is named.
const CASES: Readonly<Record<string, [output: string, answers: string[], score: number][]>> = {
  narrativeqa: [["The old mill, by a river.", ["old mill"], 2 * 2 / 6]],
  qasper: [["Unanswerable", ["unanswerable", "yes"], 1], ["no", ["yes"], 0]],
  multifieldqa_en: [["in 1921", ["1921", "the year 1921"], 2 / 3]],
  hotpotqa: [["Ann Lee and Bo", ["Bo", "Ann Lee"], 2 * 2 / 6]],
  "2wikimqa": [["", ["Ann"], 0]],
  musique: [["an Ann the", ["Ann"], 1], ["Ann Ann", ["Ann"], 2 / 3]],
  // Words as jieba cuts them: 他 来到 了 网易 杭研 大厦 against 他 去 了 杭州 的 网易 大厦.
  multifieldqa_zh: [["他来到了网易杭研大厦", ["他去了杭州的网易大厦。"], 8 / 13]],
  // The packages rouge 1.0.1 and jieba 0.42.1.
  dureader: [["他来到了网易杭研大厦", ["他去了杭州的网易大厦"], 0.6153846104]],
  vcsum: [["会议讨论了明年的预算。", ["会议讨论了今年的预算和计划。"], 0.7499999951]],
  // The package rouge 1.0.1.
  gov_report: [["the cat sat on the mat", ["the cat was on the mat"], 0.799999995]],
  qmsum: [["One two. Three four. one two", ["one two three four"], 0.6666666617]],
  multi_news: [
    [
      "police killed the gunman. it was late.",
      ["police kill the gunman. late it was. the end"],
      0.6666666617,
    ],
    ["", ["a"], 0],
  ],
  samsum: [["\n\na b c d\nDialogue: more", ["d c b a"], 0.249999995]],
  triviaqa: [["Ann Lee\nPassage: Bo", ["Ann Lee"], 1]],
  passage_count: [["There are 7, not 8.", ["7"], 0.5], ["none", ["7"], 0]],
  passage_retrieval_en: [["Paragraph 12", ["Paragraph 12"], 1], [
    " 1 or 12",
    ["Paragraph 12"],
    0.5,
  ]],
  passage_retrieval_zh: [["段落3", ["段落3"], 1], ["3和4", ["段落4"], 0.5]],
  lcc: [["\n# a comment\nreturn x + 1\nreturn 2", ["return x - 1"], 0.92]],
  "repobench-p": [["```python\nfor i in range(10):", ["for j in range(n):"], 0.86]],
};

for (const [name, cases] of Object.entries(CASES)) {
  Deno.test(`${name} scores outputs as LongBench does`, () => {
    for (const [output, answers, expected] of cases) {
      assertAlmostEquals(score(name, output, answers), expected, 1e-8, output);
    }
  });
}

Deno.test("trec and lsht score by the classes that the first line names", () => {
  const classes = ["City", "Other location", "location", "Country"];
  assertEquals(score("trec", "City\nCountry", ["City"], classes), 1);
  assertEquals(score("trec", "City or Country", ["City"], classes), 0.5);
  // What the right class is made of does not count against it.
  assertEquals(score("trec", "Other location", ["Other location"], classes), 1);
  assertEquals(score("trec", "Country", ["City"], classes), 0);
  assertEquals(score("lsht", "体育", ["体育"], ["体育", "财经"]), 1);
  // "a" is struck out, and so "b" behind it is passed over, as by LongBench's loop.
  assertEquals(score("trec", "abc", ["abc"], ["a", "b", "c", "abc"]), 0.5);
});

Deno.test("the best of the answers counts, and only the first line after examples", () => {
  assertEquals(score("hotpotqa", "Bo", ["Ann", "Bo"]), 1);
  assertEquals(score("samsum", "x\na b", ["a b"]), 0);
  assertAlmostEquals(score("qmsum", "x. a b", ["a b"]), 0.8, 1e-8);
});

Deno.test("English words are whole words, also with accents, and numbers are of any script", () => {
  assertEquals(score("qasper", "th\u00e9 a\u00efoli", ["th\u00e9 a\u00efoli"]), 1);
  assertEquals(score("qasper", "d\u00e9a", ["d\u00e9"]), 0);
  assertEquals(score("passage_count", "\uff17 or 7", ["7"]), 0.5);
});

Deno.test("the prompts are LongBench's to the letter", async () => {
  const prompts = LONGBENCH_PLANS.map(({ name, before, after, cue }) => [
    name,
    `${before}{context}${after}${cue}`,
  ]);
  // Of LongBench/config/dataset2prompt.json, parsed and written without spaces.
  assertEquals(
    await sha256(JSON.stringify(Object.fromEntries(prompts))),
    "c1d7634f94ad3e57aa30576fd8e42002d131d990cd28fb0df4c9a5998ede5e37",
  );
});

Deno.test("every task has a metric that is tested here", () => {
  const tested = new Set([...Object.keys(CASES), "trec", "lsht"]);
  assertEquals(tasks.map(({ name }) => name).filter((name) => !tested.has(name)), []);
  assertEquals(tasks.length, 21);
});

Deno.test("similarity() finds the blocks that Python's difflib finds", () => {
  const cases: [string, string, number][] = [
    ["abc", "abc", 1],
    ["", "abc", 0],
    ["", "", 1],
    // 2 of 16 characters are 12.5 %, and Python rounds halves to even.
    ["a1234567", "azzzzzzz", 0.12],
    ["self.assertEqual(a, b)", "assert a == b", 0.51],
    // Popular characters of a long text begin no block.
    [`${"x".repeat(250)}abc`, `abc${"x".repeat(250)}`, 0.01],
  ];
  for (const [a, b, expected] of cases) assertEquals(similarity(a, b), expected, `${a}, ${b}`);
});

Deno.test("rougeL() picks the common words that the package rouge picks", () => {
  assertAlmostEquals(rougeL("the the the cat", "the cat the"), 0.499999995, 1e-8);
});
