import { assert, assertEquals, assertThrows } from "@std/assert";
import { BenchmarkError } from "../../evaluation/benchmarks/errors.ts";
import { compareRuns } from "../../evaluation/compare.ts";
import { record, settings, summaryOf } from "./_run_summary.ts";

const first = summaryOf([
  record("a", { full: 1, "snapkv 64": 1, "judge_q 64": 1 }),
  record("b", { full: 1, "snapkv 64": 0, "judge_q 64": 1 }),
  record("c", { full: 1, "snapkv 64": 0.5, "judge_q 64": 0 }),
  record("d", { full: 1, "snapkv 64": 0, "judge_q 64": 1 }),
]);

Deno.test("compareRuns() pairs the samples of two policies", () => {
  const { comparisons, warnings } = compareRuns(first, first, {
    policy: "judge_q",
    against: "snapkv",
  });
  assertEquals(warnings, []);
  const [row, ...more] = comparisons;
  assertEquals(more, []);
  assertEquals([row?.budget, row?.scores, row?.outcomes], ["64", [0.75, 0.375], [2, 1, 1]]);
  assertEquals([row?.difference.mean, row?.difference.n], [0.375, 4]);
  const [low, high] = row?.difference.interval ?? [NaN, NaN];
  assert(low >= -0.5 && low < 0.375 && high > 0.375 && high <= 1, `${low} to ${high}`);
});

Deno.test("compareRuns() takes the samples that both runs have, and says what is unfair", () => {
  const second = summaryOf(
    [record("b", { "snapkv 64": 1 }), record("e", { "snapkv 64": 1 })],
    {
      model: { name: "other", fingerprint: "e", precision: "fp32" },
      seed: 3,
      versions: { kvjudge: "0.2.0" },
    },
  );
  const { comparisons, warnings } = compareRuns(first, second);
  assertEquals(comparisons.length, 1);
  assertEquals(comparisons[0]?.difference, { mean: -1, interval: null, n: 1 });
  assertEquals(warnings, [
    "the models differ: tiny and other",
    "the seeds differ: 0 and 3",
    "the versions of kvjudge differ: 0.1.0 and 0.2.0",
  ]);
});

Deno.test("compareRuns() puts all tasks together where there are several", () => {
  const records = (score: number) =>
    ["vt", "fwe"].map((task) => record(task, { "snapkv 64": score }, { task }));
  const { comparisons } = compareRuns(summaryOf(records(1)), summaryOf(records(0)));
  assertEquals(comparisons.map(({ task }) => task), ["vt", "fwe", "all tasks"]);
  assertEquals(comparisons[2]?.outcomes, [2, 0, 0]);
});

Deno.test("compareRuns() leaves out samples whose prompts differ, and refuses if all do", () => {
  const hashes = (b: string) => new Map([["a", "1"], ["b", b], ["c", "3"], ["d", "4"]]);
  const one = { ...first, promptHashes: hashes("2") };
  const { comparisons, warnings } = compareRuns(one, { ...first, promptHashes: hashes("5") });
  assertEquals(warnings, ["1 samples are left out: their prompts differ between the runs"]);
  assertEquals(comparisons.map(({ difference }) => difference.n), [3, 3, 3]);
  const others = new Map([...hashes("2")].map(([id, hash]) => [id, `not ${hash}`]));
  assertThrows(
    () => compareRuns(one, { ...first, promptHashes: others }),
    BenchmarkError,
    "the prompts of all 4 samples differ",
  );
});

Deno.test("compareRuns() takes other templates' prompts for the same where the models differ", () => {
  const model = { name: "other", fingerprint: "e", precision: "fp32" };
  const second = { ...summaryOf([record("a", { "snapkv 64": 0 })], { model }) };
  const report = compareRuns(
    { ...first, promptHashes: new Map([["a", "1"]]) },
    { ...second, promptHashes: new Map([["a", "2"]]) },
  );
  assertEquals(report.comparisons[0]?.difference.mean, 1);
});

Deno.test("compareRuns() counts the lower perplexity as the better one", () => {
  const task = "perplexity";
  const run = (score: number) => ({
    ...summaryOf([record("p", { "snapkv 64": score }, { task })]),
    metrics: { perplexity: "perplexity" },
  });
  const [row] = compareRuns(run(2), run(3)).comparisons;
  assertEquals([row?.difference.mean, row?.outcomes], [-1, [1, 0, 0]]);
});

Deno.test("compareRuns() says where a policy had other options", () => {
  const policies = [{ label: "snapkv", name: "snapkv", options: { window: 16 } }];
  const { warnings } = compareRuns(first, { ...first, settings: settings({ policies }) });
  assertEquals(warnings, ["the options of snapkv differ: window is 8 and 16"]);
});

Deno.test("compareRuns() refuses what has nothing in common", () => {
  const refuse = (second: ReturnType<typeof summaryOf>, message: string, policy?: string) =>
    assertThrows(
      () => compareRuns(first, second, policy ? { policy, against: "snapkv" } : undefined),
      BenchmarkError,
      message,
    );
  refuse(summaryOf([], { benchmark: "ruler" }), "Cannot compare a run of niah with one of ruler");
  refuse(summaryOf([record("z", { "snapkv 64": 1 })]), "no sample of the same task");
  refuse(first, "Cannot compare policy 'tova': this run of niah has full, snapkv, judge_q", "tova");
  assertEquals(settings().benchmark, "niah");
});
