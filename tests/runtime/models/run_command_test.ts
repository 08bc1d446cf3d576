import { assert, assertEquals } from "@std/assert";
import { runCommand } from "../../../runtime/models/run_command.ts";

const signal = new AbortController().signal;
const script = 'console.error("said", Deno.env.get("TMPDIR")); Deno.exit(3)';

Deno.test("runCommand() returns the exit code and standard error", async () => {
  const env = { TMPDIR: "/somewhere" };
  const result = await runCommand(Deno.execPath(), ["eval", script], { env, signal });
  assertEquals(result?.code, 3);
  assert(result?.error.includes("said /somewhere"));
});

Deno.test("runCommand() returns nothing for a program that is not there", async () => {
  assertEquals(await runCommand("kvjudge-no-such-program", [], { env: {}, signal }), undefined);
});

Deno.test("runCommand() kills the program when the signal aborts", async () => {
  const signal = AbortSignal.timeout(100);
  const result = await runCommand(
    Deno.execPath(),
    ["eval", "setInterval(() => {}, 1000)"],
    { env: {}, signal },
  );
  assert(result !== undefined && result.code !== 0);
});
