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
