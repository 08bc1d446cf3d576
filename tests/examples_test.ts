import { assert, assertEquals, assertMatch } from "@std/assert";
import { runCli, testFolder, textModel } from "./commands/_run_cli.ts";
import { smollm2 } from "./_smollm2.ts";
import { ROOT } from "./_source_tree.ts";

const PLANTED = "The number of the strong-box is 4719362.";

interface Run {
  readonly code: number;
  readonly output: string;
  readonly error: string;
}

/** Runs an example as a user does, from the repository's root. */
async function example(name: string, ...args: readonly string[]): Promise<Run> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--node-modules-dir=manual", "-A", `examples/${name}.ts`, ...args],
    cwd: ROOT,
  }).output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout), error: decoder.decode(stderr) };
}

/** What an example on a model prints. */
async function printed(name: string, model: string, ...args: readonly string[]): Promise<string> {
  const { code, output, error } = await example(name, model, ...args);
  assertEquals(code, 0, error);
  return output;
}

Deno.test("speckled_band.txt holds the planted fact once, near the middle", async () => {
  const text = await Deno.readTextFile(new URL("examples/speckled_band.txt", ROOT));
  const parts = text.split(PLANTED);
  assertEquals(parts.length, 2);
  const share = (parts[0]?.length ?? 0) / text.length;
  assert(share > 0.4 && share < 0.6, `the fact stands at ${share}`);
  assertEquals(text.split("4719362").length, 2);
});

Deno.test("quick_start answers behind an evicted cache", async () => {
  const output = await printed("quick_start", await smollm2(), "2600");
  const [, before, after] = /cache (\d+) → (\d+) bytes/.exec(output) ?? [];
  assert(Number(after) > 0 && Number(after) < Number(before), output);
});

Deno.test("compare_policies gives a line for every policy", async () => {
  using folder = testFolder();
  const model = await textModel(folder.path, 2048);
  const output = await printed("compare_policies", model, "800", "128");
  for (const name of ["full", "h2o", "judge_q", "knorm", "oracle", "snapkv", "streaming_llm"]) {
    assertMatch(output, new RegExp(`^${name} +\\d+ of \\d+ tokens`, "m"));
  }
  assertMatch(output, /^snapkv +128 of/m);
});

Deno.test("hit_rates measures each policy at each budget", async () => {
  const output = await printed("hit_rates", await smollm2(), "1200", "random,snapkv(window=8)");
  const rates = [...output.matchAll(/^(\S+) +(\d+) tokens +hit rate (0\.\d+)/gm)];
  assertEquals(rates.map(([, policy, budget]) => [policy, budget]), [
    ["random", "128"],
    ["random", "256"],
    ["snapkv(window=8)", "128"],
    ["snapkv(window=8)", "256"],
  ]);
  const [random = NaN, , snapkv = NaN] = rates.map(([, , , rate]) => Number(rate));
  assert(random < snapkv, output);
});

Deno.test("ask_often reads its document once and asks what it saved", async () => {
  using folder = testFolder();
  const output = await printed("ask_often", await textModel(folder.path, 4096), "900");
  const [, read = NaN, asked = NaN] =
    /^(\d+) tokens read, \d+ bytes saved[^]*\n(\d+) tokens read for/.exec(output) ?? [];
  assert(Number(asked) < Number(read) / 2, output);
});

Deno.test("stream_with_abort stops in the middle of the answer", async () => {
  using folder = testFolder();
  const model = await textModel(folder.path, 2048);
  const output = await printed("stream_with_abort", model, "800", "10");
  assertMatch(output, /\d+ tokens, ended by: abort\n$/);
});

for (
  const [file, options] of [["custom_policy", "window=8"], ["custom_wrapper", "snapkv(window=8)"]]
) {
  Deno.test(`${file} passes every check, and is 40 lines at most`, async () => {
    const path = `examples/${file}.ts`;
    const { code, out, err } = await runCli(["policies", "check", path]);
    assertEquals([code, err], [0, ""], out);
    assert((await Deno.readTextFile(new URL(path, ROOT))).split("\n").length <= 40);
  });

  Deno.test(`${file} is a policy for the command line`, async () => {
    using folder = testFolder();
    const model = await textModel(folder.path);
    const policy = `examples/${file}.ts(${options})`;
    const line = ["explain", "--json", "-m", model, "-p", policy, "-b", "16", "word ".repeat(40)];
    const { code, out, err } = await runCli(line, { env: { KVJUDGE_HOME: folder.path } });
    assertEquals([code, err], [0, ""]);
    const { budget, layers } = JSON.parse(out);
    assertEquals([budget, layers[0].heads[0].kept.length], [16, 16]);
  });
}

Deno.test("demo finds the planted fact with the full cache and prints a table, no control characters", async () => {
  const model = await smollm2();
  const args = ["--model", model, "--characters", "700", "--budget", "100"];
  const { code, output, error } = await example("demo", ...args);
  assertEquals(code, 0, error);
  assertMatch(output, /^Full cache +right +(\d+) of \1 /m);
  assertMatch(output, /^SnapKV +(right|wrong) +100 of /m);
  assertMatch(output, /^Judge Q +(right|wrong) +100 of /m);
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x09\x0b-\x1f\x7f]/.test(output + error));
});

Deno.test("demo refuses a wrong option in one sentence", async () => {
  const { code, output, error } = await example("demo", "--budget", "none");
  assertEquals([code, output], [2, ""]);
  assertMatch(error, /^error: Cannot use "none" as a budget: [^\n]+\n$/);
});
