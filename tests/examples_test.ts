import { assert, assertEquals, assertMatch } from "@std/assert";
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
    args: ["run", "--quiet", "-A", `examples/${name}.ts`, ...args],
    cwd: ROOT,
  }).output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout), error: decoder.decode(stderr) };
}

async function exampleOnModel(name: string, ...args: readonly string[]): Promise<string> {
  const { code, output, error } = await example(name, await smollm2(), ...args);
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
  const output = await exampleOnModel("quick_start", "2600");
  const [, before, after] = /cache (\d+) → (\d+) bytes/.exec(output) ?? [];
  assert(Number(after) > 0 && Number(after) < Number(before), output);
});

Deno.test("compare_policies gives a line for every policy", async () => {
  const output = await exampleOnModel("compare_policies", "800", "64");
  for (const name of ["full", "h2o", "judge_q", "knorm", "oracle", "snapkv", "streaming_llm"]) {
    assertMatch(output, new RegExp(`^${name} +\\d+ of \\d+ tokens`, "m"));
  }
  assertMatch(output, /^snapkv +64 of/m);
});

Deno.test("stream_with_abort stops in the middle of the answer", async () => {
  const output = await exampleOnModel("stream_with_abort", "800", "10");
  assertMatch(output, /\d+ tokens, ended by: abort\n$/);
});

Deno.test("custom_policy answers beside a built-in policy", async () => {
  const output = await exampleOnModel("custom_policy", "2600");
  assertMatch(output, /^weighted_values +".+"$/m);
  assertMatch(output, /^snapkv +".+"$/m);
});

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
