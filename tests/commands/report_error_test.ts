import { assertEquals, assertMatch } from "@std/assert";
import { ValidationError } from "@cliffy/command";
import { reportError } from "../../commands/_report_error.ts";
import { Interrupted } from "../../commands/_subcommand.ts";
import { OptionError } from "../../policies/policy.ts";
import { BudgetError } from "../../runtime/errors.ts";

const report = (error: unknown, debug = false) => reportError(error, "kvjudge generate", debug);

Deno.test("reportError() tells a user's mistake in one sentence, without a stack", () => {
  for (const error of [new BudgetError("Cannot keep 0"), new OptionError("Cannot keep 0")]) {
    assertEquals(report(error), { text: "error: Cannot keep 0", exitCode: 2 });
  }
});

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
