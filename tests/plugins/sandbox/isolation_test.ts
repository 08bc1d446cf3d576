import { assert, assertEquals, assertMatch } from "@std/assert";
import { loadPolicy } from "../../../plugins/load_policy.ts";
import { source } from "../../_source_tree.ts";
import { serveModules } from "../_serve.ts";

const SECRET = "7c0ffee5ec2e7";

/** The hostile policy with real paths, a file with a secret, and a variable with another. */
async function prepare() {
  const folder = await Deno.makeTempDir();
  const secret = `${folder}/secret.json`;
  const written = `${folder}/written`;
  await Deno.writeTextFile(secret, JSON.stringify({ secret: SECRET }));
  Deno.env.set("KVJUDGE_TEST_SECRET", SECRET);
  const code = source("tests/plugins/_hostile_policy.ts")
    .replace('"SECRET_FILE"', JSON.stringify(secret))
    .replace('"WRITTEN_FILE"', JSON.stringify(written));
  const server = serveModules({ "hostile.ts": code, "beacon-import.ts": "", "beacon-data.ts": "" });
  return {
    server,
    written,
    async [Symbol.asyncDispose]() {
      Deno.env.delete("KVJUDGE_TEST_SECRET");
      await Deno.remove(folder, { recursive: true });
      await server[Symbol.asyncDispose]();
    },
  };
}

Deno.test("loadPolicy() lets a stranger's policy reach no file, variable, program or network", async () => {
  await using given = await prepare();
  await using loaded = await loadPolicy(given.server.url("hostile.ts"));
  const outcomes = Object.entries(loaded.policy.options ?? {});
  assert(outcomes.length > 25, "the attempts were not made");
  assertEquals(outcomes.filter(([, outcome]) => !/^refused: ./.test(String(outcome))), []);
  assert(!JSON.stringify(outcomes).includes(SECRET));
  assertEquals(given.server.requests, ["hostile.ts"]);
  await Deno.stat(given.written).then(() => assert(false, "a file was written"), () => {});
});

Deno.test("loadPolicy() with trust lets a stranger's policy do what we may do", async () => {
  await using given = await prepare();
  const script = `import { loadPolicy } from ${
    JSON.stringify(new URL("../../../plugins/load_policy.ts", import.meta.url).href)
  };
    const { policy } = await loadPolicy(Deno.args[0], { trust: true });
    console.log(JSON.stringify(policy.options));
    Deno.exit(0);`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-config", `data:text/javascript,${encodeURIComponent(script)}`]
      .concat(given.server.url("hostile.ts")),
  }).output();
  const text = new TextDecoder();
  const outcomes = JSON.parse(text.decode(stdout) || text.decode(stderr));
  // Without this the attempts of the other test might fail for reasons of their own.
  for (
    const name of [
      ...["file: Deno.readTextFile", "file: node:fs", "file: import", "file: worker thread"],
      ...["file: import from a data URL", "file: write", "variable: Deno.env.get"],
      ...["variable: process.env", "program: Deno.Command", "network: import"],
      ...["network: import from a data URL", "network: connect", "network: fetch"],
      ...["network: node:http"],
    ]
  ) {
    assertMatch(outcomes[name], /^REACHED/, name);
  }
  assertMatch(outcomes["file: Deno.readTextFile"], new RegExp(SECRET));
});
