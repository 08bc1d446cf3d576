import { assert, assertEquals } from "@std/assert";
import { runLoad } from "../../../bench/serve/load.ts";
import { startServerProcess } from "../../../bench/serve/server_process.ts";
import { testFolder, textModel } from "../../commands/_run_cli.ts";

/** A server's load for long is `deno task bench-serve`; this one is short, its model tiny. */
const SECONDS = 8;
const CLIENTS = 24;

Deno.test(`${CLIENTS} clients for ${SECONDS} seconds: no error but 503, and memory does not run away`, async () => {
  using folder = testFolder();
  const model = await textModel(folder.path, 2048);
  await using server = await startServerProcess([
    ...["--model", `tiny=${model}`, "--threads", "1", "--parallel", "4", "--max-queue", "12"],
    ...["--cache-memory", "16MiB"],
  ]);
  const memory: number[] = [];
  const looking = setInterval(async () => {
    const bytes = await server.memory();
    if (bytes !== undefined) memory.push(bytes);
  }, SECONDS * 1000 / 12);
  let state = 1;
  const result = await runLoad({
    url: server.url,
    clients: CLIENTS,
    seconds: SECONDS,
    text: "It was early in April. ".repeat(80),
    maxTokens: 16,
    random: () => (state = state * 16_807 % 2_147_483_647) / 2_147_483_647,
    now: () => performance.now(),
  });
  clearInterval(looking);
  assertEquals(result.errors, []);
  assert(result.answered > 0 && result.refused > 0, JSON.stringify({ ...result, first: 0 }));
  // What still runs when the time is up leaves; nothing of it stays.
  const metrics = async () => await (await fetch(`${server.url}/metrics`)).text();
  for (let tries = 0; !/num_requests_running 0$/m.test(await metrics()); tries++) {
    assert(tries < 600, "requests of clients that left still run");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  // V8's heaps still grow in the first minute; a cache lost with each request would be far more.
  const [first = 0, ...later] = memory.slice(4);
  assert((later.at(-1) ?? 0) < first * 1.5, `memory grew: ${memory.join(", ")}`);
});
