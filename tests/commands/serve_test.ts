import { assert, assertEquals } from "@std/assert";
import { runCli, startCli, testFolder, textModel } from "./_run_cli.ts";

/** A server in a process of its own. */
async function startServer(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = startCli(["serve", "--port", "0", "--threads", "1", ...args], { env });
  const lines = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  const heard = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const found = pattern.exec(said);
      if (found) return found;
      const { value, done } = await lines.read();
      assert(!done, said);
      said += value;
    }
  };
  const [, url = ""] = await heard(/listening on (\S+)/);
  return {
    child,
    url,
    heard,
    async ended(): Promise<number> {
      while (!(await lines.read()).done);
      await child.stdout.cancel();
      return (await child.status).code;
    },
  };
}

function ask(url: string, body: object, headers: Readonly<Record<string, string>> = {}) {
  return fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ prompt: "Once", temperature: 0, ...body }),
  });
}

Deno.test("serve answers, keeps documents over a restart, and lets what runs end at the first signal", async () => {
  using folder = testFolder();
  const model = `tiny=${await textModel(folder.path)}`;
  const args = ["-m", model, "--cache-folder", `${folder.path}/documents`, "--api-key-file"];
  await Deno.writeTextFile(`${folder.path}/keys`, "one\ntwo\n");
  const key = { authorization: "Bearer two" };
  const server = await startServer([...args, `${folder.path}/keys`]);
  await server.heard(/ready with tiny/);
  assertEquals((await ask(server.url, {})).status, 401);
  const document = { text: "A story of a house. ".repeat(10), form: "text" };
  const post = (url: string) =>
    fetch(`${url}/v1/documents`, {
      method: "POST",
      headers: { "content-type": "application/json", ...key },
      body: JSON.stringify({ ...document, eviction: { policy: "keydiff", budget: 20 } }),
    });
  const { id, kept, stored } = await (await post(server.url)).json();
  assertEquals([kept, stored], [20, true]);
  const first = await (await ask(server.url, { document: id, max_tokens: 8 }, key)).json();
  const streaming = await ask(server.url, { max_tokens: 300, stream: true }, key);
  server.child.kill("SIGTERM");
  await server.heard(/a second signal/);
  const text = await streaming.text();
  assert(text.endsWith("data: [DONE]\n\n"), text.slice(-300));
  assert(!text.includes('"error"'), text.slice(-300));
  assertEquals(await server.ended(), 0);

  const again = await startServer(args.slice(0, -1), { KVJUDGE_API_KEY: "two" });
  await again.heard(/ready with tiny/);
  const second = await (await ask(again.url, { document: id, max_tokens: 8 }, key)).json();
  assertEquals(second.choices, first.choices);
  assert(second.usage.prompt_tokens_details.cached_tokens > 100);
  again.child.kill("SIGINT");
  assertEquals(await again.ended(), 0);
});

Deno.test("a second signal ends the server at once", async () => {
  using folder = testFolder();
  const server = await startServer(["-m", await textModel(folder.path), "--host", "0.0.0.0"]);
  await server.heard(/whoever reaches 0\.0\.0\.0 may ask, as there is no key/);
  await server.heard(/ready with text-model/);
  const running = await ask(server.url, { max_tokens: 480, n: 64, stream: true });
  server.child.kill("SIGTERM");
  await server.heard(/a second signal/);
  server.child.kill("SIGTERM");
  assertEquals(await server.ended(), 143);
  await running.text().catch(() => {});
});

Deno.test("serve refuses what it cannot do before it loads a model", async () => {
  using folder = testFolder();
  await Deno.writeTextFile(`${folder.path}/empty`, "\n");
  const cases: readonly [readonly string[], RegExp][] = [
    [["--policy", "snapvk"], /did you mean 'snapkv'/],
    [["--budget", "0"], /budget/],
    [["--cache-memory", "much"], /--cache-memory/],
    [["--cache-precision", "int5"], /cache-precision.*int5/],
    [["--cache-precision", "int8", "--device", "cuda"], /int8 on a device.*--cache-precision/],
    [["--parallel", "0"], /--parallel/],
    [["--timeout", "0"], /--timeout/],
    [["--port", "65536"], /Cannot use 65536 for --port: give a port from 0 to 65535/],
    [["--allow-origin", "chat.example"], /--allow-origin: give an origin such as https:/],
    [
      ["--allow-origin", "*", "--allow-origin", "http://a.example/"],
      /without a path, or \* for all/,
    ],
    [["--port", "-1"], /Cannot use -1 for --port/],
    [["--api-key-file", `${folder.path}/empty`], /no key/],
    [["-m", "a/x", "-m", "b/x"], /two models as 'x'/],
  ];
  const runs = cases.map(([args]) =>
    runCli(["serve", ...(args.includes("--port") ? [] : ["--port", "0"]), ...args])
  );
  for (const [at, { code, err }] of (await Promise.all(runs)).entries()) {
    const [args, pattern] = cases[at] ?? [[], /never/];
    assertEquals(code, 2, `${args.join(" ")}: ${err}`);
    assert(pattern.test(err), err);
  }
});

Deno.test("a model that is not there ends serve with a sentence", async () => {
  const { code, err } = await runCli(["serve", "--port", "0", "-m", "/nowhere/model.gguf"]);
  assertEquals(code, 2, err);
  assert(/\/nowhere\/model\.gguf/.test(err), err);
  assert(!/\n\s+at /.test(err), err);
});
