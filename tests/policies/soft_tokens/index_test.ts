import { assert, assertEquals } from "@std/assert";
import { registry } from "../../../policies/registry.ts";
import { SHIPPED } from "../../../policies/soft_tokens/index.ts";
import { parseCard } from "../../../runtime/soft_tokens/card.ts";
import { readSoftTokens } from "../../../runtime/soft_tokens/read.ts";

const FOLDER = new URL("../../../policies/soft_tokens/", import.meta.url);
const MOST_BYTES = 200_000;

Deno.test("SHIPPED lists every file of its folder, and nothing else", () => {
  const files = [...Deno.readDirSync(FOLDER)].map(({ name }) => new URL(name, FOLDER).href);
  assertEquals(
    SHIPPED.map(({ file }) => file.href).sort(),
    files.filter((file) => file.endsWith(".safetensors")).sort(),
  );
});

Deno.test("SHIPPED files are small and say for which model and by which command they were made", async () => {
  for (const { policy, model, identity, file } of SHIPPED) {
    assert(Object.hasOwn(registry, policy));
    assert((await Deno.stat(file)).size < MOST_BYTES, `${file} is too large`);
    const { card = {}, ...tokens } = await readSoftTokens(file);
    const { command, settings, hitRate, created, ...named } = parseCard(card);
    assertEquals([tokens.identity, named.model], [identity, model]);
    assert(command && settings && hitRate && created, `the card of ${file} is incomplete`);
  }
});
