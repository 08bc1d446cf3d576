import { assert, assertEquals } from "@std/assert";
import { OverloadedError } from "../../server/scheduler/errors.ts";
import { fakeScheduler, type Script } from "./_fake_scheduler.ts";
import { testServer } from "./_running_server.ts";
import { untilUp } from "../../scripts/until_up.ts";
import { until } from "./clients/_until.ts";
import { withFolder } from "../_temp_folder.ts";
import { fileURLToPath } from "node:url";

const EXAMPLE = fileURLToPath(new URL("../../examples/serve/nginx.conf", import.meta.url));
const CHAT = "/v1/chat/completions";

async function hasNginx(): Promise<boolean> {
  try {
    return (await new Deno.Command("nginx", { args: ["-v"], stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

/** The example in front of two servers of this machine, without TLS. */
async function startNginx(folder: string, ports: readonly number[]) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const example = (await Deno.readTextFile(EXAMPLE))
    .replace("listen 443 ssl;", `listen 127.0.0.1:${port};`)
    .replaceAll(/^ *(ssl_|server_name).*\n/gm, "")
    .replace("10.0.0.1:8080", `127.0.0.1:${ports[0]}`)
    .replace("10.0.0.2:8080", `127.0.0.1:${ports[1]}`);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`).join("\n");
  const whole = `daemon off;\nerror_log ${folder}/error.log;\npid ${folder}/pid;\n` +
    `events {}\nhttp {\naccess_log off;\n${temporary}\n${example}}\n`;
  await Deno.writeTextFile(`${folder}/nginx.conf`, whole);
  const args = ["-p", folder, "-c", `${folder}/nginx.conf`, "-e", `${folder}/error.log`];
  const child = new Deno.Command("nginx", { args, stdout: "null", stderr: "null" }).spawn();
  const url = `http://127.0.0.1:${port}`;
  await untilUp(async () => await (await fetch(`${url}/health`)).body?.cancel());
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

/** Asks through nginx in front of two servers. */
async function throughNginx(
  script: () => Script,
  work: (
    ask: (key: string, body?: object, signal?: AbortSignal) => Promise<Response>,
    schedulers: readonly ReturnType<typeof fakeScheduler>[],
  ) => Promise<void>,
) {
  await withFolder(async (folder) => {
    const schedulers = [fakeScheduler(script), fakeScheduler(script)];
    await using stack = new AsyncDisposableStack();
    const apiKeys = Array.from({ length: 20 }, (_, at) => `key-${at}`);
    const ports: number[] = [];
    for (const scheduler of schedulers) {
      ports.push(stack.use(await testServer(scheduler, { apiKeys })).port);
    }
    const { url } = stack.use(await startNginx(folder, ports));
    await work((key, body = {}, signal) =>
      fetch(`${url}${CHAT}`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
        body: JSON.stringify({ messages: [{ role: "user", content: "Hi" }], ...body }),
        ...(signal ? { signal } : {}),
      }), schedulers);
  });
}

const ignore = !await hasNginx();

Deno.test({
  name: "nginx: a client stays with one server, several share the load, refusals come once",
  ignore,
  fn: () =>
    throughNginx(() => ({}), async (ask, schedulers) => {
      for (const key of ["key-0", "key-0", "key-0"]) {
        assertEquals((await (await ask(key)).json()).object, "chat.completion");
      }
      const counts = schedulers.map(({ requests }) => requests.length);
      assertEquals(counts.toSorted((a, b) => a - b), [0, 3]);
      for (let at = 0; at < 20; at++) await (await ask(`key-${at}`)).body?.cancel();
      assert(schedulers.every(({ requests }) => requests.length > 2));
      const wrong = await ask("no");
      assertEquals([wrong.status, (await wrong.json()).error.code], [401, "invalid_api_key"]);
    }),
});

Deno.test({
  name: "nginx: a refusal passes with its Retry-After, and is not asked again elsewhere",
  ignore,
  fn: () =>
    throughNginx(() => ({ refuse: new OverloadedError("busy", 7) }), async (ask, schedulers) => {
      const busy = await ask("key-1");
      await busy.body?.cancel();
      assertEquals([busy.status, busy.headers.get("retry-after")], [503, "7"]);
      assertEquals(schedulers.reduce((sum, { requests }) => sum + requests.length, 0), 1);
    }),
});

Deno.test({
  name: "nginx: a stream arrives as it is made, and who leaves ends the request",
  ignore,
  fn: () =>
    throughNginx(() => ({ hang: "decoding" }), async (ask, schedulers) => {
      const leaving = new AbortController();
      const response = await ask("key-2", { stream: true }, leaving.signal);
      assertEquals(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
      const reader = response.body?.getReader();
      // It never ends: what came was not held back.
      const { value } = await reader?.read() ?? {};
      assert(new TextDecoder().decode(value).startsWith("data: "));
      leaving.abort();
      await until(() => schedulers.some(({ cancelled }) => cancelled.length > 0));
    }),
});
