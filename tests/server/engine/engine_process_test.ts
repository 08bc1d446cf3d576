import { assertEquals } from "@std/assert";
import { engineArguments } from "../../../server/engine/engine_process.ts";
import { runCli } from "../../commands/_run_cli.ts";

Deno.test("a compiled server starts itself to run models, which ends when it is told to", async () => {
  assertEquals(engineArguments(false)[0], "run");
  const closing = JSON.stringify({ kind: "close", now: true });
  const ended = await runCli(engineArguments(true), { stdin: `${closing}\n` });
  assertEquals(ended, { code: 0, out: "", err: "" });
});
