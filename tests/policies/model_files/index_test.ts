import { assert, assertEquals } from "@std/assert";
import { SHIPPED_FILES } from "../../../policies/model_files/index.ts";
import { registry } from "../../../policies/registry.ts";
import { readModelFile } from "../../../runtime/model_files/file.ts";

const FOLDER = new URL("../../../policies/model_files/", import.meta.url);
const MOST_BYTES = 300_000;

Deno.test("SHIPPED_FILES lists every file of its folder, and nothing else", () => {
  const files = [...Deno.readDirSync(FOLDER)].map(({ name }) => new URL(name, FOLDER).href);
  assertEquals(
    SHIPPED_FILES.map(({ file }) => file.href).sort(),
    files.filter((file) => file.endsWith(".safetensors")).sort(),
  );
});

Deno.test("SHIPPED_FILES are small and say for which model and by which command they were made", async () => {
  for (const { policy, model, identity, file } of SHIPPED_FILES) {
    assert(Object.hasOwn(registry, policy));
    assert((await Deno.stat(file)).size < MOST_BYTES, `${file} is too large`);
    const { kind, card = {}, ...read } = await readModelFile(file);
    assertEquals([kind, read.identity, card.model], [policy, identity, model]);
    assert(card.command && card.created && card.version, `the card of ${file} is incomplete`);
  }
});
