import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { openGolden } from "../runtime/_golden_file.ts";
import { fixture } from "../_test_model.ts";
import { callCli } from "./_call_cli.ts";
import { testFolder, textModel } from "./_run_cli.ts";

const MODEL = "tiny-llama31";

const golden = openGolden(MODEL);
const prompts = [
  { ids: golden.integers("input_ids"), response: golden.integers("judge_q.response") },
  { ids: golden.integers("input_ids").slice(0, 50) },
];
const lines = [JSON.stringify(prompts[0]), "{broken", JSON.stringify(prompts[1])].join("\n");

/** Runs `eval` on a checkpoint, with prompts on standard input. */
async function evaluate(home: string, args: readonly string[], model = fixture(MODEL)) {
  const [kind = "", ...rest] = args;
  return await callCli(["eval", kind, "-m", model, "--precision", "fp32", ...rest], {
    stdin: lines,
    env: { KVJUDGE_HOME: home },
  });
}

Deno.test("kvjudge eval hit_rate --json gives figures by policy and budget, and names broken lines", async () => {
  using home = testFolder();
  const policies = "random,snapkv(window=8,kernel=1),oracle";
  const args = ["hit_rate", "-f", "-", "-p", policies, "-b", "16,0.25,60", "--json"];
  const { code, out, err } = await evaluate(home.path, [...args, "--per-prompt", "--seed", "3"]);
  assertEquals(code, 0, err);
  assertMatch(err, /warning: 1 lines were skipped\n {2}line 2: it is not JSON\n$/);
  const report = JSON.parse(out);
  assertEquals(report.prompts, {
    usable: 2,
    used: 2,
    broken: [{ line: 2, reason: "it is not JSON" }],
    skipped: [],
  });
  assertEquals(report.settings, {
    prompts: "standard input",
    response_tokens: 64,
    limit: null,
    seed: 3,
    local_tokens: 32,
  });
  assertEquals([report.precision, report.fingerprint.length], ["fp32", 64]);
  assertEquals(Object.keys(report.versions), ["kvjudge", "deno"]);
  assertEquals(report.policies[1].options, { window: 8, kernel: 1, pooling: "max" });
  const kinds = report.results.map((one: Record<string, unknown>) => [one.policy, one.budget]);
  assertEquals(kinds.length, 9);
  assertEquals(kinds[3], ["snapkv(window=8,kernel=1)", "16"]);
  const [random, snapkv, oracle] = [0, 3, 6].map((at) => report.results[at]);
  assert(random.hit_rate < snapkv.hit_rate && snapkv.hit_rate < 1);
  assertEquals([oracle.hit_rate, oracle.hit_rate_interval, oracle.n], [1, [1, 1], 2]);
  assert(oracle.attention_mass > snapkv.attention_mass);
  assertEquals([report.results[2].n, report.results[2].left_out], [1, 1]);
  const rows = report.per_prompt;
  assertEquals(rows.map((row: Record<string, unknown>) => [row.line, row.tokens]), [[1, 96], [
    3,
    50,
  ]]);
  const mean = (rows[0].results[3].hit_rate + rows[1].results[3].hit_rate) / 2;
  assertAlmostEquals(snapkv.hit_rate, mean, 1e-12);
  const judged = report.local_share.map((one: Record<string, unknown>) => one.policy);
  assertEquals(judged, ["response", "snapkv(window=8,kernel=1)", "oracle"]);
});

Deno.test("kvjudge eval hit_rate prints tables and heeds --limit", async () => {
  using home = testFolder();
  const args = ["hit_rate", "-f", "-", "-p", "random", "-b", "16", "--limit", "1"];
  const { code, out } = await evaluate(home.path, args);
  assertEquals(code, 0);
  assertMatch(out, /^1 prompts of 96 to 96 tokens/);
  assertMatch(out, /^random +16 +\d+\.\d +- +\d+\.\d +- +1$/m);
  assertMatch(out, /^response \(the answer itself\) +\d+\.\d +-$/m);
});

Deno.test("kvjudge eval right_answers counts the answers to both kinds of questions", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 4096);
  for (const kind of ["facts", "codes"]) {
    const args = ["--kind", kind, "--items", "1", "-p", "streaming_llm", "-b", "16,32"];
    const more = ["--tokens", "20", "--answer-tokens", "3", "--question", "both"];
    const { code, out, err } = await evaluate(
      home.path,
      ["right_answers", ...args, ...more],
      model,
    );
    assertEquals([code, err], [0, ""]);
    assertMatch(out, /^2 prompts of \d+ to \d+ tokens/);
    assertMatch(out, /^full +all +end +0\/1 +0\.0 +0\.0-79\.3 +-$/m);
    assertEquals(out.match(/^(streaming_llm|oracle) +(16|32) +(end|front) /gm)?.length, 8);
  }
  const args = ["right_answers", "--kind", "codes", "--items", "1", "-b", "16", "--json"];
  const { out } = await evaluate(
    home.path,
    [...args, "-p", "random", "--per-prompt", "--answer-tokens", "3", "--split", "validation"],
    model,
  );
  const report = JSON.parse(out);
  assertEquals(report.settings, {
    kind: "codes",
    items: 1,
    split: "validation",
    question: "end",
    answer_tokens: 3,
    seed: 0,
  });
  assertEquals(report.results[0], {
    question: "end",
    policy: "full",
    budget: null,
    right: 0,
    total: 1,
    share: 0,
    share_interval: report.results[0].share_interval,
    share_of_full: null,
    above_budget: 0,
  });
  assertEquals(report.per_prompt[0].answers.length, 3);
  assertEquals(report.per_prompt[0].answers[1].above_budget, false);
});

Deno.test("kvjudge eval right_answers says where more than a ratio was kept", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 4096);
  const args = ["right_answers", "--kind", "facts", "--items", "1", "--tokens", "20"];
  const { code, out, err } = await evaluate(
    home.path,
    [...args, "-p", "snapkv", "-b", "1%,50%", "--answer-tokens", "3"],
    model,
  );
  assertEquals([code, err], [0, ""]);
  const note = "A ratio came to fewer tokens than a policy always keeps: those were kept " +
    "(snapkv at 1%, question at the end, in 1 of 1 prompts).";
  assertEquals(out.trimEnd().split("\n").at(-1), note);
});

const MISTAKES: readonly (readonly [readonly string[], RegExp])[] = [
  [["hit_rate"], /Missing required option "--prompts"/],
  [["hit_rate", "-f", "-", "-p", "snapvk"], /did you mean 'snapkv'\?/],
  [["hit_rate", "-f", "-", "-b", "0"], /Cannot use 0 tokens as a budget/],
  [["hit_rate", "-f", "-", "-b", "16, 16"], /Cannot use budget '16' twice/],
  [["hit_rate", "-f", "-", "--limit", "0"], /"--limit" must be at least 1, got 0/],
  [["hit_rate", "-f", "-", "--per-prompt"], /json/],
  [["hit_rate", "-f", "no-such-file"], /Cannot read prompts from no-such-file/],
  [["right_answers", "--kind", "riddles"], /facts/],
  [["right_answers", "--haystack", "no-such-file"], /Cannot read the haystack from no-such-file/],
];

for (const [args, message] of MISTAKES) {
  Deno.test(`kvjudge eval ${args.join(" ")} fails in one sentence`, async () => {
    using home = testFolder();
    const { code, out, err } = await evaluate(home.path, args);
    assertEquals([code, out], [2, ""]);
    assertMatch(err, message);
    assert(!err.includes("    at "), err);
  });
}

Deno.test("kvjudge eval alone shows its commands", async () => {
  const { code, out } = await callCli(["eval"]);
  assertEquals(code, 0);
  assertMatch(out, /hit_rate/);
  assertMatch(out, /right_answers/);
});
