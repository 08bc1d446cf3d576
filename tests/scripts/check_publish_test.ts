import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { rehearse } from "../../scripts/check_publish.ts";

Deno.test("rehearse() finds nothing that keeps the package from being published", async () => {
  const { success, output } = await rehearse();
  assert(success, output);
  for (const file of ["/policies/soft_tokens/index.ts", "/cli.ts", "/LICENSE", "/README.md"]) {
    assert(output.includes(file), `${file} would not be published`);
  }
  const published = [...output.matchAll(/^ +file:\/\/(\S+)/gm)].map((match) => match[1] ?? "");
  assert(published.some((file) => file.endsWith(".safetensors")));
  // The rehearsal takes the stand-ins in; nothing else that is excluded may show up.
  for (const folder of config.publish.exclude.filter((name) => name !== "stand_ins/")) {
    assertEquals(published.filter((file) => file.includes(`/${folder}`)), []);
  }
});
