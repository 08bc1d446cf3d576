import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { SampleRecord } from "../../evaluation/run/record.ts";
import type { RunSummary } from "../../evaluation/run/summary_record.ts";
import { fixture } from "../_test_model.ts";
import { callCli } from "./_call_cli.ts";
import { startCli, testFolder, textModel } from "./_run_cli.ts";

const NIAH = ["eval", "niah", "--precision", "fp32", "--lengths", "1200", "--seed", "5"];
const POLICIES = ["-p", "random,snapkv(window=8)", "-b", "16,64"];

function readJson<T>(path: string): T {
  return JSON.parse(Deno.readTextFileSync(path));
}

function readSamples(folder: string): SampleRecord[] {
  const lines = Deno.readTextFileSync(`${folder}/samples.jsonl`).trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line));
}

/** What a repetition must reproduce. */
function lasting({ timings: _, ...rest }: RunSummary) {
  return rest;
}

Deno.test("kvjudge eval niah writes settings, samples and a summary", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 2048);
  const out = `${home.path}/run`;
  const args = [...NIAH, "-m", model, ...POLICIES, "--depths", "0,100", "--out", out];
  const { code, out: printed, err } = await callCli([...args, "--question", "both"], {
    env: { KVJUDGE_HOME: home.path },
  });
  assertEquals(code, 0, err);
  assertMatch(printed, /^niah +1200 tokens, question first +snapkv\(window=8\) +64 +\d/m);
  const summary = readJson<RunSummary>(`${out}/summary.json`);
  assertEquals(summary.settings, readJson(`${out}/settings.json`));
  assertEquals(summary.settings.policies[1]?.options, { window: 8, kernel: 7, pooling: "max" });
  assertEquals(summary.rows.length, 2 * 5);
  const records = readSamples(out);
  assertEquals(records.map(({ facts }) => facts.depth), [0, 100, 0, 100]);
  for (const { cells, promptTokens, promptHash } of records) {
    assert(promptTokens <= 1230 && promptTokens > 1176, `${promptTokens}`);
    assertEquals(promptHash.length, 64);
    const [full, small, large] = cells;
    assert(full && small && large);
    assertEquals(full.kept, [full.kept[1], full.kept[1]]);
    assertEquals(full.bytes[0], full.bytes[1]);
    // What is allocated afterwards is what is kept: 16 of the prompt's tokens, 64 of them.
    assertEquals(small.bytes[1], full.bytes[0] * 16 / promptTokens);
    assertEquals(small.kept[0] * 4, large.kept[0]);
    assert(small.outputTokens > 0 && small.output !== "");
  }
});

Deno.test("kvjudge eval goes on with a run that was killed, and ends with the same summary", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 2048);
  const env = { KVJUDGE_HOME: home.path };
  const args = [...NIAH, "-m", model, ...POLICIES, "--depths", "0,20,40,60,80,100", "--out"];
  const [whole, killed] = [`${home.path}/whole`, `${home.path}/killed`];
  assertEquals((await callCli([...args, whole], { env })).code, 0);
  const child = startCli([...args, killed], { env });
  const size = () => Deno.statSync(`${killed}/samples.jsonl`).size;
  for (let waited = 0; waited < 600; waited++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    try {
      if (size() > 0) break;
    } catch {
      // It is not there yet.
    }
  }
  child.kill("SIGKILL");
  await child.output();
  const before = Deno.readTextFileSync(`${killed}/samples.jsonl`);
  const done = before.split("\n").length - 1;
  assert(done >= 1 && done < 6, `${done} of 6 samples were done when it was killed`);
  assert(!Array.from(Deno.readDirSync(killed)).some(({ name }) => name === "summary.json"));
  Deno.writeTextFileSync(`${killed}/samples.jsonl`, `${before}{"id":"torn`);
  const again = await callCli([...args, killed, "--workers", "2"], { env });
  assertStringIncludes(again.err, "2 samples at a time");
  assertEquals(again.code, 0, again.err);
  assertEquals(
    lasting(readJson(`${killed}/summary.json`)),
    lasting(readJson(`${whole}/summary.json`)),
  );
  assert(Deno.readTextFileSync(`${killed}/samples.jsonl`).startsWith(before));
  assertEquals(readSamples(killed).length, 6);
  const other = await callCli(
    args.map((word) => word === "16,64" ? "16,32" : word).concat(killed),
    { env },
  );
  assertEquals(other.code, 2);
  assertMatch(
    other.err,
    /^error: Cannot go on with the run in .*: it was begun with budgets\[1\] "64", this is "32"/,
  );
});

Deno.test("kvjudge eval asks after the eviction where the question is not to be seen", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 2048);
  const out = `${home.path}/run`;
  const args = [...NIAH, "-m", model, ...POLICIES, "--depths", "50", "--out", out];
  const { code, err } = await callCli([...args, "--visible-question", "both"], {
    env: { KVJUDGE_HOME: home.path },
  });
  assertEquals(code, 0, err);
  const [seen, unseen] = readSamples(out);
  assert(seen && unseen);
  assertEquals([seen.promptHash, seen.promptTokens], [unseen.promptHash, unseen.promptTokens]);
  assertEquals(seen.cells[0]?.output, unseen.cells[0]?.output);
  const evictable = (record: SampleRecord) => record.cells[0]?.kept[1] ?? 0;
  assert(evictable(unseen) < evictable(seen));
  assertMatch(unseen.variant, /question after eviction$/);
});

Deno.test("kvjudge eval ruler says in a sentence what it cannot do", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 2048);
  const cases: [args: string[], message: string][] = [
    [["--tasks", "niah_singel_1"], "did you mean 'niah_single_1'?"],
    [["--lengths", "many"], 'Option "--lengths" must be whole numbers of at least 1'],
    [["--samples", "0"], 'Option "--samples" must be at least 1, got 0'],
    [["--workers", "0"], 'Option "--workers" must be a number of at least 1 or auto'],
    [["--question", "middle"], "last"],
    [["--visible-question", "maybe"], "yes"],
    [["--tasks", "vt", "--lengths", "20"], "ask for more tokens"],
    [["--tasks", "vt", "--lengths", "2200"], "more than the model's context of 2048"],
    [["--squad", `${home.path}/none.json`], "there is no such file"],
    [["--out", "/dev/null/run"], "a file stands where a folder is needed; choose another place"],
    [["--out", "/dev/null"], "Cannot write into /dev/null: a file has that name; give another"],
  ];
  for (const [args, message] of cases) {
    const { code, err } = await callCli(
      ["eval", "ruler", "-m", model, "--precision", "fp32", ...args],
      { env: { KVJUDGE_HOME: home.path } },
    );
    assertEquals(code, 2, `${args.join(" ")}: ${err}`);
    assertStringIncludes(err, message);
    assert(!err.includes("    at "), err);
  }
});

Deno.test("kvjudge eval records where a policy protects more than a budget keeps", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 2048);
  const out = `${home.path}/run`;
  const args = [
    ...NIAH,
    "-m",
    model,
    "-p",
    "snapkv",
    "-b",
    "16,64",
    "--depths",
    "50",
    "--out",
    out,
  ];
  const { code, out: printed } = await callCli(args, { env: { KVJUDGE_HOME: home.path } });
  assertEquals(code, 0);
  assertMatch(printed, /snapkv +16 +- +- +0 \(1 refused\)/);
  const [record] = readSamples(out);
  assertMatch(record?.cells[1]?.refused ?? "", /^Cannot keep 16 of \d+ tokens/);
});

Deno.test("kvjudge eval upper_bound always has the baseline and the bound", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 2048);
  const { code, out, err } = await callCli(
    ["eval", "upper_bound", "-m", model, "--precision", "fp32", "--tasks", "niah_single_1"]
      .concat(["--lengths", "1200", "--samples", "1", "-p", "streaming_llm", "-b", "64"]),
    { env: { KVJUDGE_HOME: home.path } },
  );
  assertEquals(code, 0, err);
  const policies = out.trimEnd().split("\n").slice(1).map((line) => line.split(/ {2,}/)[1]);
  assertEquals(policies, ["full", "streaming_llm", "snapkv", "oracle"]);
});

Deno.test("kvjudge eval longbench, generation and perplexity write runs that can be compared", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 2048);
  const common = ["-m", model, "--precision", "fp32", "-p", "streaming_llm", "-b", "16,32"];
  const kinds = [
    [
      "longbench",
      "--data",
      fixture("longbench"),
      "--tasks",
      "qmsum,trec",
      "--prompt-tokens",
      "300",
    ],
    ["generation", "--samples", "2", "--answer-tokens", "4"],
    ["perplexity", "--samples", "2", "--lengths", "120"],
  ];
  for (const [name = "", ...args] of kinds) {
    const out = `${home.path}/${name}`;
    const env = { KVJUDGE_HOME: home.path };
    const run = await callCli(["eval", name, ...args, ...common, "--out", out], { env });
    assertEquals(run.code, 0, run.err);
    assertMatch(Deno.readTextFileSync(`${out}/report.md`), /^\| streaming\\_llm \| \d/m);
    assertStringIncludes(Deno.readTextFileSync(`${out}/report.html`), "<svg");
    const compared = await callCli(["eval", "compare", out, out], { env });
    assertEquals(compared.code, 0, compared.err);
    assertMatch(compared.out, /streaming_llm +16 .*0\/\d\/0 +\d$/m);
    const { code, err } = await callCli(["eval", "compare", out], { env });
    assertEquals(code, 2);
    assertStringIncludes(err, 'give a second one, or "--policy" and "--against"');
  }
  const missing = await callCli(
    ["eval", "longbench", ...common, "--data", `${home.path}/none`],
    {},
  );
  assertEquals(missing.code, 2);
  assertStringIncludes(missing.err, "there is no such file or folder");
});

Deno.test("kvjudge eval hit_rate --out writes maps of layers and heads", async () => {
  using home = testFolder();
  const out = `${home.path}/hits`;
  const ids = Array.from({ length: 60 }, (_, index) => (index * 31) % 250 + 2);
  const { code, err } = await callCli(
    ["eval", "hit_rate", "-m", fixture("tiny-llama31"), "--precision", "fp32", "-f", "-"]
      .concat(["-p", "random,oracle", "-b", "16", "--out", out]),
    { env: { KVJUDGE_HOME: home.path }, stdin: JSON.stringify({ ids }) },
  );
  assertEquals(code, 0, err);
  const { results } = readJson<{ results: { by_head: number[][] }[] }>(`${out}/figures.json`);
  assert(results.every(({ by_head }) => by_head.length > 0 && by_head[0]?.length === 2));
  assertEquals(results[1]?.by_head.flat().every((rate) => rate === 1), true);
  assertMatch(Deno.readTextFileSync(`${out}/report.md`), /^\| oracle \| 100\.0 \|$/m);
  assertStringIncludes(Deno.readTextFileSync(`${out}/heads.svg`), "<svg");
});
