import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { callCli } from "./_call_cli.ts";
import { testFolder, textModel } from "./_run_cli.ts";

Deno.test("kvjudge eval leaderboard asks unseen and seen, and writes a table and a picture", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 2048);
  const folder = `${home.path}/board`;
  const { code, out, err } = await callCli(
    ["eval", "leaderboard", "-m", model, "--precision", "fp32", "--tasks", "niah_single_1"]
      .concat(["--lengths", "1200", "--samples", "1", "-p", "random,kvzip", "-b", "0.5,0.125"])
      .concat(["--out", folder]),
    { env: { KVJUDGE_HOME: home.path } },
  );
  assertEquals(code, 0, err);
  assertMatch(out, /^\| policy \| 50 % removed \| 87\.5 % removed \| mean \|/m);
  assertStringIncludes(out, "## 1200 tokens, question last");
  assertStringIncludes(out, "## 1200 tokens, question after eviction");
  assertEquals(out.match(/^\| `(random|kvzip)` \|/gm)?.length, 4);
  assertEquals(Deno.readTextFileSync(`${folder}/leaderboard.md`), out);
  assertMatch(Deno.readTextFileSync(`${folder}/leaderboard.svg`), /^<svg/);
});
