import { assert, assertEquals, assertMatch } from "@std/assert";
import { CATALOG } from "../../runtime/models/catalog.ts";
import { fixture } from "../_test_model.ts";
import { startHub, testBytes, type TestHub } from "../runtime/models/_hub.ts";
import { runCli, testFolder } from "./_run_cli.ts";

Deno.test("kvjudge models lists what has a name and whether it is here", async () => {
  using home = testFolder();
  const { code, out, err } = await runCli(["models"], { env: { KVJUDGE_HOME: home.path } });
  assertEquals([code, err], [0, ""]);
  for (const { name, about } of CATALOG) {
    assertMatch(out, new RegExp(`^${name}\\s.*not fetched\n {2}${RegExp.escape(about)}$`, "m"));
  }
});

Deno.test("kvjudge models --json gives the same as data", async () => {
  using home = testFolder();
  const { code, out } = await runCli(["models", "--json"], { env: { KVJUDGE_HOME: home.path } });
  assertEquals(code, 0);
  const models: { name: string; fetched: boolean }[] = JSON.parse(out);
  assertEquals(models.map(({ name }) => name), CATALOG.map(({ name }) => name));
  assert(models.every(({ fetched }) => !fetched));
});

Deno.test("kvjudge models fetch prints where a model lies", async () => {
  const path = fixture("tiny-llama");
  assertEquals(await runCli(["models", "fetch", path]), { code: 0, out: `${path}\n`, err: "" });
});

Deno.test("kvjudge models fetch refuses a model that does not exist", async () => {
  const { code, out, err } = await runCli(["models", "fetch", "smollm2"]);
  assertEquals([code, out], [2, ""]);
  assertMatch(
    err,
    /^error: Cannot find model "smollm2": did you mean smollm2-135m-instruct\?.*\n$/,
  );
});

Deno.test("kvjudge models fetch needs a name", async () => {
  const { code, err } = await runCli(["models", "fetch"]);
  assertEquals(code, 2);
  assertMatch(err, /^error: Missing argument.*model/);
});

/** A hub with one model, and a home that it was fetched to by the command line. */
async function fetched(home: string, hub: TestHub, reference: string) {
  const env = { KVJUDGE_HOME: home, HF_ENDPOINT: hub.endpoint };
  const { code, out, err } = await runCli(["models", "fetch", reference], { env });
  assertEquals([code, err], [0, ""]);
  return { env, path: out.trim() };
}

Deno.test("kvjudge models lists, verifies and removes what it fetched from a hub", async () => {
  using home = testFolder();
  const content = testBytes(5_000);
  await using hub = startHub([{ path: "q.gguf", content }, { path: "other.gguf", content }]);
  const reference = "ada/tiny@v1:q.gguf";
  const { env, path } = await fetched(home.path, hub, reference);
  assertEquals(await Deno.readFile(path), content);

  const list = await runCli(["models", "list"], { env });
  assertMatch(list.out, new RegExp(`^${reference}\\s+4.9 KiB  ${RegExp.escape(path)}$`, "m"));
  const whole = await runCli(["models", "verify"], { env });
  assertEquals([whole.code, whole.err], [0, ""]);
  assertMatch(whole.out, new RegExp(`^whole +4.9 KiB  ${reference}  q.gguf$`, "m"));

  // The warm cache needs no network at all.
  await hub[Symbol.asyncDispose]();
  const offline = await runCli(["models", "fetch", reference], {
    env: { ...env, HF_HUB_OFFLINE: "1" },
  });
  assertEquals([offline.code, offline.out], [0, `${path}\n`]);

  await Deno.writeFile(path, testBytes(5_000, 7));
  const damaged = await runCli(["models", "verify", reference], { env });
  assertEquals(damaged.code, 2);
  assertMatch(damaged.out, /^damaged .*: its checksum is [0-9a-f]{64}, not [0-9a-f]{64}$/m);
  assertMatch(damaged.err, /^error: Cannot trust 1 of 1 files: run kvjudge models remove ada.*\n$/);
  const json = await runCli(["models", "verify", "--json", reference], { env });
  assertEquals(JSON.parse(json.out)[0].outcome, "damaged");

  const unasked = await runCli(["models", "remove", reference], { env });
  assertEquals([unasked.code, unasked.out], [2, ""]);
  assertMatch(unasked.err, /^error: Cannot remove .* without asking: .*; add --yes\n$/);
  const removed = await runCli(["models", "remove", reference, "--yes"], { env });
  assertEquals([removed.code, removed.err], [0, ""]);
  assertEquals(removed.out, `removed ${reference}: 1 files, 4.9 KiB\n`);
  const again = await runCli(["models", "remove", reference, "--yes"], { env });
  assertEquals([again.code, again.out], [2, ""]);
  assertMatch(again.err, /^error: Cannot remove "ada\/tiny@v1:q.gguf": no model of that name/);
});

Deno.test("kvjudge models fetch: two processes at once fetch every byte once", async () => {
  using home = testFolder();
  const content = testBytes(60_000);
  await using hub = startHub([{ path: "q.gguf", content }]);
  const [one, two] = await Promise.all([
    fetched(home.path, hub, "ada/tiny"),
    fetched(home.path, hub, "ada/tiny"),
  ]);
  assertEquals(one?.path, two?.path);
  assertEquals(hub.requests.filter(({ path }) => path.includes("/resolve/")).length, 1);
});

Deno.test("kvjudge models fetch says what a hub means that refuses, and keeps nothing", async () => {
  using home = testFolder();
  await using hub = startHub([{ path: "q.gguf", content: testBytes(500) }]);
  const fetch = async (reference: string, env: Readonly<Record<string, string>> = {}) => {
    const all = { KVJUDGE_HOME: home.path, HF_ENDPOINT: hub.endpoint, ...env };
    const { code, out, err } = await runCli(["models", "fetch", reference], { env: all });
    assertEquals([code, out], [2, ""]);
    return err;
  };
  assertMatch(await fetch("ada/tiny:absent.gguf"), /has no such file; it has q\.gguf\n$/);
  for (const status of [401, 403]) {
    hub.status = status;
    assertMatch(await fetch("ada/tiny"), new RegExp(`answered ${status}; .*set HF_TOKEN`));
    const refused = await fetch("ada/tiny", { HF_TOKEN: "hf_x" });
    assertMatch(refused, /HF_TOKEN has no access to it: accept its terms/);
    assert(!refused.includes("hf_x"));
  }
  hub.status = 404;
  assertMatch(await fetch("ada/tiny@nowhere"), /404; check the name, the revision and the file\n$/);
  await hub[Symbol.asyncDispose]();
  assertMatch(await fetch("ada/tiny"), /could not be reached .*; check the network, or set HF_E/);
  const files = [...Deno.readDirSync(home.path)].map(({ name }) => name);
  assertEquals(files, ["locks"]);
});
