import { assert, assertEquals, assertMatch } from "@std/assert";
import { CATALOG } from "../../runtime/models/catalog.ts";
import { fixture } from "../_test_model.ts";
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
