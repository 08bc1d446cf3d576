import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { commandArguments, commandOf } from "../../evaluation/report/settings_table.ts";
import type { RunSettings } from "../../evaluation/run/record.ts";
import { settings } from "../evaluation/_run_summary.ts";
import { callCli } from "./_call_cli.ts";
import { testFolder, textModel } from "./_run_cli.ts";

Deno.test("kvjudge eval report and compare serve the run that eval wrote", async () => {
  using home = testFolder();
  const env = { KVJUDGE_HOME: home.path };
  const model = await textModel(home.path, 2048);
  const out = `${home.path}/run`;
  const first = await callCli(
    ["eval", "niah", "-m", model, "--precision", "fp32", "--lengths", "1200", "--depths", "0,100"]
      .concat(["-p", "random(seed=3),snapkv(window=8)", "-b", "16,64", "--question", "both"])
      .concat(["--seed", "5", "--out", out]),
    { env },
  );
  assertEquals(first.code, 0, first.err);
  const written = Deno.readTextFileSync(`${out}/report.md`);

  // The command that the report shows measures with the very same settings: the run has ended.
  const made: RunSettings = JSON.parse(Deno.readTextFileSync(`${out}/settings.json`));
  assertStringIncludes(written, commandOf(made));
  // The name of a model is the file's; the test's lies elsewhere.
  const shown = commandArguments({ ...made, model: { ...made.model, name: model } });
  const again = ["eval", ...shown, "--out", out];
  const second = await callCli(again, { env });
  assertEquals(second.code, 0, second.err);

  Deno.removeSync(`${out}/report.md`);
  const report = await callCli(["eval", "report", out], { env });
  assertEquals([report.code, report.out], [0, ""]);
  assertEquals(Deno.readTextFileSync(`${out}/report.md`), written);

  const pair = ["--policy", "snapkv(window=8)", "--against", "random(seed=3)"];
  const compared = await callCli(["eval", "compare", out, ...pair, "--json"], { env });
  assertEquals(compared.code, 0, compared.err);
  const { comparisons, warnings, first: side } = JSON.parse(compared.out);
  assertEquals([comparisons.length, warnings], [4, []]);
  assertEquals([comparisons[0].difference.n, side.seed], [2, 5]);
});

Deno.test("kvjudge eval report and compare say in a sentence what they cannot read", async () => {
  using home = testFolder();
  const fails = async (args: readonly string[], message: RegExp, code = 2) => {
    const run = await callCli(["eval", ...args], { env: { KVJUDGE_HOME: home.path } });
    assertEquals([run.code, run.out], [code, ""], run.err);
    assertMatch(run.err, message);
    assert(!run.err.includes("    at "), run.err);
  };
  await fails(
    ["report", home.path],
    /summary\.json: there is no such file; give the folder of a run/,
  );
  await fails(["report"], /Missing argument\(s\): folder/);
  await fails(["compare", "a", "b", "--policy", "x"], /"--policy" depends on option "--against"/);
  await fails(["compare", home.path], /give a second one, or "--policy" and "--against"/);
  Deno.writeTextFileSync(`${home.path}/text.json`, "no");
  await fails(
    ["compare", `${home.path}/text.json`, "b"],
    /text\.json as the summary of a run of format 1: it is not JSON; give/,
  );
});

Deno.test("commandOf() leaves defaults out and quotes what a shell would read", () => {
  const policies = [{ label: "snapkv(window=8)", name: "snapkv", options: {} }, {
    label: "it's.ts",
    name: "mine",
    options: {},
  }];
  const options = { samples: 2, chunk: null, haystack: "default", even_lengths: false, a_b: true };
  assertEquals(
    commandOf(settings({ policies, options, benchmark: "ruler", tasks: ["vt", "cwe"] })),
    [
      "kvjudge eval ruler \\",
      "  --model tiny \\",
      "  --precision fp32 \\",
      `  --policies 'snapkv(window=8),it'\\''s.ts' \\`,
      "  --budgets 64 \\",
      "  --tasks vt,cwe \\",
      "  --seed 0 \\",
      "  --samples 2 \\",
      "  --a-b \\",
      "  --out FOLDER",
    ].join("\n"),
  );
});
