import { assert, assertEquals, assertMatch } from "@std/assert";
import { ValidationError } from "@cliffy/command";
import { inFlags, reportError } from "../../commands/_report_error.ts";
import { Interrupted } from "../../commands/_subcommand.ts";
import { OptionError } from "../../policies/policy.ts";
import { BudgetError } from "../../runtime/errors.ts";
import { DEFAULT_SETTINGS } from "../../training/settings.ts";
import { source, sourceFiles } from "../_source_tree.ts";

const report = (error: unknown, debug = false) => reportError(error, "kvjudge generate", debug);

Deno.test("reportError() tells a user's mistake in one sentence, without a stack", () => {
  for (const error of [new BudgetError("Cannot keep 0"), new OptionError("Cannot keep 0")]) {
    assertEquals(report(error), { text: "error: Cannot keep 0", exitCode: 2 });
  }
});

Deno.test("reportError() puts flags in the place of a library's options", () => {
  const texts: [message: string, options: string[], shown: string][] = [
    ["'rate' must be above 0, got 0", ["rate"], "--lr must be above 0, got 0"],
    ["raise 'maxPromptTokens'", ["maxPromptTokens"], "raise --max-prompt-tokens"],
    [
      "lower 'adapters.rate', set 'device' to cpu",
      ["adapters.rate", "device"],
      "lower --adapter-lr, set --device to cpu",
    ],
    ["another 'out', or without 'resume'", ["out", "resume"], "another --out, or without --resume"],
    ["read it with 'inPieces'", ["inPieces"], "read it with --in-pieces"],
    // Somebody's text in quotes is no option.
    ["there is no 'rate' here", [], "there is no 'rate' here"],
  ];
  for (const [message, options, shown] of texts) {
    assertEquals(report(new BudgetError(message, { options })).text, `error: ${shown}`);
    assertEquals(new BudgetError(message, { options }).message, message);
  }
  const pieces = new BudgetError("read it with 'inPieces'", { options: ["inPieces"] });
  assertEquals(
    reportError(pieces, "kvjudge explain", false).text,
    "error: read it with kvjudge generate --in-pieces",
  );
});

Deno.test("every option that a library error quotes has a flag, or words of its own", () => {
  const named = librarySources().flatMap((file) =>
    [...source(file).matchAll(/options: \[((?:"[\w.]+"(?:, )?)+)\]/g)]
      .flatMap(([, list = ""]) => [...list.matchAll(/"([\w.]+)"/g)].map(([, name = ""]) => name))
  );
  assert(named.length > 10, "the errors were not found");
  const flags = ownFlags();
  for (const option of new Set([...named, ...Object.keys(DEFAULT_SETTINGS)])) {
    const shown = inFlags({ message: `'${option}'`, options: [option] }, "kvjudge generate");
    const known = shown.split(" and ").every((flag) => flags.has(flag));
    assert(shown.startsWith("kvjudge ") || known, `${option} is shown as ${shown}`);
  }
});

Deno.test("no sentence of the library names a flag of the command line", () => {
  const flags = ownFlags();
  assert(flags.has("--max-prompt-tokens") && flags.has("--budgets"), "the flags were not found");
  // These run other programs, write down a command that repeats a run or trains what is missing, or
  // hold a style sheet.
  const exempt =
    /(deno_program|probe_devices|package_file|settings_table|judge_document|page_style)\.ts$/;
  for (const file of librarySources().filter((file) => !exempt.test(file))) {
    const code = source(file).replace(/^\s*(\*|\/\*|\/\/).*$/gm, "");
    const found = [...code.matchAll(/--[a-z][a-z-]*/g)].map(([flag]) => flag);
    assertEquals(found.filter((flag) => flags.has(flag)), [], file);
  }
});

function librarySources(): readonly string[] {
  return sourceFiles()
    .filter((file) => /^(runtime|training|evaluation|plugins|policies|kernels)\//.test(file));
}

/** All flags that commands declare. */
function ownFlags(): ReadonlySet<string> {
  const declared = sourceFiles().filter((file) => file.startsWith("commands/")).flatMap((file) =>
    [...source(file).matchAll(/"(?:-\w, )?(--[a-z-]+)(?: <[^>]+>)?",/g)]
      .map(([, flag = ""]) => flag)
  );
  return new Set(declared);
}

Deno.test("reportError() points to the help of the command after a wrong command line", () => {
  const { text, exitCode } = report(new ValidationError("Missing value"));
  assertEquals(exitCode, 2);
  assertEquals(text, "error: Missing value\nhint: kvjudge generate --help shows what can be given");
});

Deno.test("reportError() shows the stack of a mistake when debugging", () => {
  assertMatch(report(new BudgetError("Cannot"), true).text, /^error: Cannot\nBudgetError.*\n +at /);
});

Deno.test("reportError() shows the stack of a bug and asks to report it", () => {
  const { text, exitCode } = report(new TypeError("x is not a function"));
  assertEquals(exitCode, 1);
  assertMatch(text, /TypeError: x is not a function\n +at .*report_error_test/);
  assertMatch(text, /hint: this is a bug in kvjudge; please report it/);
  assertMatch(report("thrown text").text, /\nthrown text\n/);
});

Deno.test("reportError() is silent about Ctrl-C and a reader that has left", () => {
  assertEquals(report(new Interrupted("x")), { text: "", exitCode: 130 });
  assertEquals(report(new Deno.errors.BrokenPipe("x")), { text: "", exitCode: 0 });
});

Deno.test("reportError() tells which permission is missing", () => {
  const error = new Deno.errors.NotCapable('Requires read access to "a", run again with …');
  assertEquals(report(error).exitCode, 2);
  assertMatch(report(error).text, /^error: Requires read access to "a"/);
});
