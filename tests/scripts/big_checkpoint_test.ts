import { assert, assertEquals } from "@std/assert";
import { full } from "../../policies/mod.ts";
import { loadModel } from "../../mod.ts";
import { parametersOf, SHAPES } from "../../scripts/big_checkpoint/shapes.ts";
import { writeBigCheckpoint } from "../../scripts/big_checkpoint/write.ts";

const SHAPE = {
  ...{ layers: 2, hidden: 64, heads: 4, kvHeads: 2, intermediate: 96 },
  ...{ vocabulary: 120, context: 500 },
};

for (const format of ["q4_0", "f16"] as const) {
  Deno.test(`a big checkpoint in ${format} loads and answers with finite logits`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const path = await writeBigCheckpoint(folder, "custom", SHAPE, format);
      // What is there already is not written again.
      assertEquals(await writeBigCheckpoint(folder, "custom", SHAPE, format), path);
      await using model = await loadModel(path, { home: folder, threads: 1 });
      const { layers, hidden, heads, kvHeads, vocabulary, context } = model.config;
      assertEquals({ layers, hidden, heads, kvHeads, vocabulary, context }, {
        ...{ layers: 2, hidden: 64, heads: 4, kvHeads: 2 },
        ...{ vocabulary: 120, context: 500 },
      });
      await using session = model.session({ policy: full() });
      const { logits } = await session.read({ ids: [5, 6, 7] });
      assert(logits.every(Number.isFinite));
      const largest = Math.max(...logits.map(Math.abs));
      assert(largest > 0.1 && largest < 100, String(largest));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("the shapes have about as many parameters as their names say", () => {
  const billions = (name: string) => {
    const shape = SHAPES[name];
    return shape ? parametersOf(shape) / 1e9 : NaN;
  };
  assert(Math.abs(billions("1.3b") - 1.3) < 0.15, String(billions("1.3b")));
  assert(Math.abs(billions("8b") - 8) < 0.2, String(billions("8b")));
});
