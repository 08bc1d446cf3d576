import { assertEquals, assertStringIncludes } from "@std/assert";
import { registry } from "../../policies/registry.ts";
import { callCli } from "./_call_cli.ts";

Deno.test("kvjudge policies lists every policy with its paper, evidence and options", async () => {
  const { code, out, err } = await callCli(["policies"]);
  assertEquals([code, err], [0, ""]);
  const blocks = new Map(out.split("\n\n").map((block) => [block.split(":", 1)[0], block]));
  assertEquals([...blocks.keys()], Object.keys(registry));
  for (const { name, summary, paper, evidence, options } of Object.values(registry)) {
    const block = blocks.get(name) ?? "";
    assertStringIncludes(block, summary);
    assertStringIncludes(block, paper ?? "paper     none");
    assertStringIncludes(block, `evidence  ${evidence}`);
    for (const option of options) {
      assertStringIncludes(block, option.name);
      assertStringIncludes(block, option.about);
      if (option.default === undefined) continue;
      assertStringIncludes(block, `(default: ${JSON.stringify(option.default)})`);
    }
  }
});

Deno.test("kvjudge policies --json is the registry", async () => {
  const { code, out } = await callCli(["policies", "--json"]);
  assertEquals(code, 0);
  assertEquals(JSON.parse(out), JSON.parse(JSON.stringify(Object.values(registry))));
});
