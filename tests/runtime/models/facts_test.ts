import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { ModelFacts } from "../../../policies/policy.ts";
import { openCheckpoint } from "../../../runtime/checkpoint/open.ts";
import { modelFacts } from "../../../runtime/models/facts.ts";
import { type RandomModel, writeFolder, writeGguf } from "../../_random_checkpoint.ts";

async function factsOf(
  write: (path: string) => Promise<void>,
  name: string,
): Promise<ModelFacts> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/${name}`;
    await write(path);
    return await modelFacts(await openCheckpoint(path));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const asFolder = (model: RandomModel) =>
  factsOf(async (path) => {
    await Deno.mkdir(path);
    await writeFolder(path, model);
  }, "model");

const asGguf = (model: RandomModel, type: "F32" | "Q4_0" | "Q8_0") =>
  factsOf((path) => writeGguf(path, model, { type }), "model.gguf");

for (const family of ["llama", "mistral", "qwen2", "qwen3"] as const) {
  Deno.test(`modelFacts() gives all formats of a ${family} model one identity`, async () => {
    const all = [
      await asFolder({ family }),
      await asGguf({ family }, "F32"),
      await asGguf({ family }, "Q4_0"),
      await asGguf({ family }, "Q8_0"),
    ];
    assertEquals(new Set(all.map(({ identity }) => identity)).size, 1);
    assertEquals(new Set(all.map(({ fingerprint }) => fingerprint)).size, 4);
    assertNotEquals((await asFolder({ family, seed: 2 })).identity, all[0]?.identity);
  });
}

Deno.test("modelFacts() gives the size of the embeddings", async () => {
  const { hidden, layers, embeddingRms } = await asFolder({ hidden: 32, layers: 2 });
  assertEquals([hidden, layers], [32, 2]);
  assert(Math.abs(embeddingRms - 1) < 0.05, `${embeddingRms}`);
});
