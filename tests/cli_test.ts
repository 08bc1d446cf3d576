import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { main } from "../cli.ts";
import config from "../deno.json" with { type: "json" };
import { loadedModules, sourceFiles } from "./_source_tree.ts";
import { callCli } from "./commands/_call_cli.ts";
import { runCli } from "./commands/_run_cli.ts";

const subcommands = sourceFiles("commands/").filter((file) => !file.startsWith("commands/_"));

Deno.test("kvjudge --help lists every command and loads none of them", async () => {
  const { code, out, err } = await runCli(["--help"]);
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /Usage:\s+kvjudge/);
  for (const name of ["generate", "explain", "policies", "models"]) {
    assertMatch(out, new RegExp(`^\\s+${name}\\s.*\\w\\.`, "m"));
    assert(subcommands.includes(`commands/${name}.ts`), `${name} has no file`);
  }
  assertMatch(out, /KVJUDGE_HOME\s.*Folder/);
  const loaded = await loadedModules("cli.ts");
  assertEquals(subcommands.filter((file) => loaded.has(file)), []);
});

Deno.test("kvjudge loads no native code for the help of any command", async () => {
  for (const file of ["cli.ts", ...subcommands]) {
    const loaded = [...await loadedModules(file)];
    // The settings of drawing are data, which the processor's sampler shares.
    const heavy = loaded.filter((name) =>
      /^kernels\/(?!draw_settings)|onnxruntime|^runtime\/model\.ts/.test(name)
    );
    assertEquals(heavy, [], file);
  }
  const engine = [...await loadedModules("runtime/model.ts")];
  assert(engine.some((name) => name.includes("onnxruntime")), "the graph was not read");
});

Deno.test("kvjudge without words prints its help", async () => {
  const { code, out } = await runCli([]);
  assertEquals(code, 0);
  assertMatch(out, /Usage:\s+kvjudge/);
});

Deno.test("kvjudge --version prints the version of deno.json", async () => {
  assertEquals(await runCli(["--version"]), {
    code: 0,
    out: `kvjudge ${config.version}\n`,
    err: "",
  });
});

Deno.test("kvjudge COMMAND --help shows the options and what they are when absent", async () => {
  const { code, out, err } = await runCli(["generate", "--help"]);
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /Usage:\s+kvjudge generate/);
  const flags = [
    ["model", "prompt-file", "system", "raw", "ids-file", "policy", "options", "budget"],
    ["max-tokens", "temperature", "top-k", "top-p", "min-p", "repetition-penalty", "seed"],
    ["stop", "chunk", "threads", "precision", "json"],
  ].flat();
  for (const flag of flags) assertStringIncludes(out, `--${flag}`);
  assertMatch(out, /"smollm2-135m-instruct"/);
  const explain = await runCli(["explain", "--help"]);
  for (const flag of ["scores", "logits", "json"]) assertStringIncludes(explain.out, `--${flag}`);
});

const mistakes: readonly [string, string[], RegExp][] = [
  [
    "an unknown command",
    ["genrate"],
    /Unknown command "genrate"\. Did you mean command "generate"/,
  ],
  ["an unknown option", ["generate", "--modle", "x", "y"], /"--modle"\. Did you mean.*"--model"/],
  ["an unknown option behind the question", ["generate", "x", "--budgt=3"], /mean.*"--budget"/],
  ["a word where a number belongs", ["generate", "--top-k", "few"], /"--top-k".*"integer".*"few"/],
  ["an unknown precision", ["generate", "--precision", "fp64"], /"auto", "fp32", "int8"/],
  [
    "an empty policy",
    ["generate", "--policy", "", "x"],
    /behind "--policy": the word there is empty; give/,
  ],
  ["an empty key", ["serve", "--api-key="], /behind "--api-key": the word there is empty/],
  ["an empty file", ["eval", "hit_rate", "-f", ""], /behind "-f": the word there is empty/],
  ["options that exclude each other", ["generate", "--raw", "--system", "x"], /"--raw|"--system/],
  ["--scores without --json", ["explain", "--scores", "x"], /"--scores" depends on.*"--json"/],
  ["two questions", ["generate", "a", "b"], /Too many arguments/],
  ["two questions behind --", ["generate", "--", "a", "b"], /one question, in quotes/],
  ["a missing file of eval", ["eval", "hit_rate"], /Missing required option "--prompts"/],
  ["an unknown command of eval", ["eval", "hitrate"], /Did you mean command "hit_rate"/],
  ["an argument that nobody takes", ["train", "judge-q", "x"], /No arguments allowed/],
];

for (const [what, args, message] of mistakes) {
  Deno.test(`kvjudge exits with 2, one sentence and a hint on ${what}`, async () => {
    const { code, out, err } = await runCli(args);
    assertEquals([code, out], [2, ""]);
    const [sentence = "", hint = "", ...rest] = err.trimEnd().split("\n");
    assertMatch(sentence, /^error: /);
    assertMatch(sentence, message);
    assertMatch(hint, /^hint: kvjudge( \w+( [\w-]+)?)? --help/);
    assertEquals(rest, []);
  });
}

Deno.test("the hint names the help that has the flags", async () => {
  const hints: readonly [args: string[], hint: string][] = [
    [["eval", "hit_rate"], "kvjudge eval hit_rate"],
    [["eval", "hitrate"], "kvjudge eval"],
    [["train", "judge-q", "x"], "kvjudge train judge-q"],
    [["models", "--none"], "kvjudge models"],
    [["explain", "--scores", "x"], "kvjudge explain"],
    [["genrate"], "kvjudge"],
  ];
  for (const [args, hint] of hints) {
    const { err } = await callCli(args);
    assertStringIncludes(err, `\nhint: ${hint} --help shows`);
  }
});

Deno.test("kvjudge shows the stack of a mistake only with KVJUDGE_DEBUG=1", async () => {
  const args = ["generate", "x", "--policy", "none"];
  const plain = await runCli(args);
  assertEquals(plain.code, 2);
  assertEquals(plain.err.trimEnd().split("\n").length, 1);
  const debug = await runCli(args, { env: { KVJUDGE_DEBUG: "1" } });
  assertEquals(debug.code, 2);
  assertStringIncludes(debug.err, plain.err.trimEnd());
  assertMatch(debug.err, /\n\s+at .*\.ts:\d+/);
});

Deno.test("main() returns the exit code of a run in the same process", async () => {
  const { log } = console;
  const lines: string[] = [];
  console.log = (line: string) => lines.push(line);
  try {
    assertEquals(await main(["-V"]), 0);
  } finally {
    console.log = log;
  }
  assertEquals(lines, [config.version]);
});
