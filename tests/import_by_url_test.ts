import { assert, assertEquals } from "@std/assert";
import { ROOT } from "./_source_tree.ts";

/**
 * The repository on the loopback, as a host of files would serve it. A folder of its own keeps Deno from
 * finding what an earlier server had on the same port in its cache.
 */
function serveRepository() {
  const requests: string[] = [];
  const folder = `/${crypto.randomUUID()}/`;
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (request) => {
      const path = new URL(request.url).pathname.slice(folder.length);
      requests.push(path);
      try {
        const type = path.endsWith(".json") ? "application/json" : "application/typescript";
        return new Response(await Deno.readFile(new URL(path, ROOT)), {
          headers: { "content-type": type },
        });
      } catch {
        return new Response("not here", { status: 404 });
      }
    },
  );
  return {
    address: `http://127.0.0.1:${server.addr.port}${folder}`,
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Runs a script in a stranger's project: a folder with an empty configuration. */
async function runInEmptyProject(script: string, flags: readonly string[]): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/deno.json`, "{}");
    await Deno.writeTextFile(`${folder}/main.ts`, script);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", "--allow-import", ...flags, "main.ts"],
      cwd: folder,
      env: { NO_COLOR: "1" },
    }).output();
    const text = new TextDecoder();
    assertEquals(code, 0, text.decode(stderr));
    return text.decode(stdout);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("mod.ts can be imported by URL from a project with an empty configuration", async () => {
  await using repository = serveRepository();
  const printed = await runInEmptyProject(
    `import { createPolicy, loadModel, loadPolicy, registry } from "${repository.address}mod.ts";
     console.log(typeof loadModel, (await createPolicy("h2o")).name, Object.keys(registry).length > 5);
     console.log((await loadPolicy("snapkv(window=8)")).policy.options);`,
    ["--allow-env", "--allow-read", "--allow-sys", "--allow-ffi"],
  );
  assertEquals(
    printed,
    'function h2o true\n{ window: 8, kernel: 7, pooling: "max" }\n',
  );
});

Deno.test("a policy can be imported by URL alone, without permissions or the rest of kvjudge", async () => {
  await using repository = serveRepository();
  const printed = await runInEmptyProject(
    `import { snapKv } from "${repository.address}policies/snapkv.ts";
     import judgeQ from "${repository.address}policies/judge_q.ts";
     console.log(snapKv({ window: 8 }).name, (await judgeQ()).evidence.kind);`,
    [],
  );
  assertEquals(printed, "snapkv soft\n");
  assert(repository.requests.length > 3);
  assertEquals(repository.requests.filter((path) => !path.startsWith("policies/")), []);
});

Deno.test("a policy of ours can be given by URL, and runs in a sandbox", async () => {
  await using repository = serveRepository();
  const { address } = repository;
  const printed = await runInEmptyProject(
    `import { loadPolicy } from "${address}mod.ts";
     await using loaded = await loadPolicy("${address}policies/streaming_llm.ts(sinks=2)");
     const scores = await loaded.policy.score({ layer: 0, kvHeads: 1, length: 3 });
     console.log(loaded.policy.options, scores.length);`,
    ["--allow-run", "--allow-env", "--allow-read", "--allow-sys", "--allow-ffi"],
  );
  assertEquals(printed, "{ sinks: 2 } 3\n");
});

Deno.test("a policy given by URL asks for the permission that its sandbox needs", async () => {
  await using repository = serveRepository();
  const { address } = repository;
  const printed = await runInEmptyProject(
    `import { loadPolicy } from "${address}plugins/mod.ts";
     console.log(await loadPolicy("${address}policies/knorm.ts").catch(({ message }) => message));`,
    ["--allow-read"],
  );
  assertEquals(
    printed,
    `Cannot run the policy ${address}policies/knorm.ts: a sandbox is a process of its own; allow ` +
      "it with --allow-run, or trust the policy if you know its author\n",
  );
});
