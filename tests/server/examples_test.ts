import { assert, assertEquals } from "@std/assert";
import { ROOT } from "../_source_tree.ts";
import { fakeScheduler } from "./_fake_scheduler.ts";
import { testServer } from "./_running_server.ts";

/** Runs an example against a server that says what it is told. */
async function printed(command: string, args: readonly string[]): Promise<string> {
  const scheduler = fakeScheduler(({ grammar }) => ({
    answers: [grammar ? ['{"city": "Paris", ', '"country": "France"}'] : ["Hello", " there"]],
  }));
  await using server = await testServer(scheduler, { apiKeys: ["secret"] });
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    cwd: ROOT,
    env: { KVJUDGE_URL: server.url, KVJUDGE_API_KEY: "secret", NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  assertEquals(code, 0, decoder.decode(stderr) + decoder.decode(stdout));
  assert(scheduler.requests.some(({ eviction, document }) => eviction || document));
  return decoder.decode(stdout);
}

const deno = (name: string, ...args: string[]) =>
  printed(Deno.execPath(), [
    "run",
    "--quiet",
    "--node-modules-dir=manual",
    "-A",
    `examples/serve/${name}.ts`,
    ...args,
  ]);

Deno.test("the openai SDK's example asks twice about one document", async () => {
  const output = await deno("openai_sdk");
  assertEquals(output.split("\n")[0], "doc-24: kept 24 of 24 tokens");
  assertEquals(output.match(/Hello there/g)?.length, 2);
});

Deno.test("the Vercel AI SDK's example streams a text and gets an object", async () => {
  const output = await deno("vercel_ai", "fake");
  assert(output.startsWith("Hello there\n"));
  assert(output.includes('city: "Paris"'), output);
});

Deno.test("the LangChain.js example answers and streams", async () => {
  assertEquals(await deno("langchain", "fake"), "Hello there\nHello there\n");
});

Deno.test("the curl example chats, streams, and asks about a document", async () => {
  const output = await printed("sh", ["examples/serve/curl.sh"]);
  assertEquals(output.match(/"content":"Hello there"/g)?.length, 2);
  assert(output.includes("data: [DONE]"));
  assert(output.includes('"deleted":true'));
});
