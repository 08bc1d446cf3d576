import { assertEquals } from "@std/assert";
import { longBenchTasks } from "../../../evaluation/benchmarks/longbench/longbench.ts";
import { parsePolicies } from "../../../evaluation/policy_list.ts";
import { measureSample, type PlannedSample } from "../../../evaluation/run/measure_sample.ts";
import { tinyModel } from "../../_test_model.ts";

Deno.test("measureSample() writes no further than the line that counts", async () => {
  await using tiny = await tinyModel("tiny-llama");
  // A letter is a token, and the third token of an answer ends its line.
  const tokenizer = {
    ...tiny.model.tokenizer,
    encode: (text: string) => Array.from(text, () => 5),
    decode: (ids: Iterable<number>) => Array.from(ids, (_, at) => at === 2 ? "\n" : "a").join(""),
  };
  const model = { ...tiny.model, tokenizer };
  const sample = {
    ...{ id: "1", task: "trec", context: "Mill Lane has 12 houses. ", question: "How many?" },
    ...{ prefix: "", answers: ["12"], maxTokens: 6, facts: {} },
  };
  const tokensOf = async (firstLine: boolean) => {
    const planned: PlannedSample = {
      sample: { ...sample, firstLine },
      metric: (output) => output.startsWith("aa\n") ? 1 : 0,
      ...{ group: "", setting: { order: "last", visible: true } },
    };
    const { cells } = await measureSample(planned, {
      ...{ model, policies: await parsePolicies("knorm,oracle(tokens=6)") },
      ...{ budgets: [{ label: "16", budget: 16 }], now: () => 0 },
    });
    return cells.map(({ outputTokens, score }) => [outputTokens, score]);
  };
  assertEquals(await tokensOf(true), [[3, 1], [3, 1], [3, 1]]);
  assertEquals(await tokensOf(false), [[6, 1], [6, 1], [6, 1]]);
});

Deno.test("LongBench's tasks whose first line counts say so in their samples", async () => {
  const line = { input: "Q", context: "C", answers: ["a"], length: 1, all_classes: ["a"] };
  const tokenizer = { encode: (text: string) => Array.from(text, () => 5), decode: () => "" };
  const ending = (await longBenchTasks(() => [])).filter((task) => {
    const rows = [{ ...line, answers: ["Paragraph 1"] }];
    if (task.name.startsWith("passage_retrieval")) return false;
    return task.readRows(rows, "a table", { tokens: 9999, tokenizer })[0]?.firstLine;
  });
  assertEquals(ending.map(({ name }) => name), ["trec", "triviaqa", "samsum", "lsht"]);
});
