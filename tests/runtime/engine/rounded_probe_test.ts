import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { emptySequence } from "../../../runtime/engine/sequence.ts";
import { loadModel } from "../../../runtime/model.ts";
import { assertClose } from "../../_close.ts";
import { fixture } from "../../_test_model.ts";

for (const name of ["tiny-qwen3", "tiny-gemma3", "tiny-mistral-window"]) {
  for (const weightCopies of ["two", "one"] as const) {
    for (const ragged of [false, true]) {
      const heads = ragged ? "ragged heads" : "heads of one length";
      Deno.test(`probe() reads tokens as answers of ${name} are written, behind ${heads}, ${weightCopies} of each weight`, async () => {
        await using model = await loadModel(fixture(name), { precision: "int8", weightCopies });
        const { engine } = model;
        const { vocabulary, layers, kvHeads } = engine.config;
        using cache = engine.newCache();
        const sequence = emptySequence(cache);
        const ids = (count: number) =>
          Array.from({ length: count }, (_, index) => (11 * index + 5) % vocabulary);
        await engine.advance(sequence, { ids: ids(20) });
        for (let layer = 0; layer < layers && ragged; layer++) {
          if (cache.window(layer) !== undefined) continue;
          const kept = Array.from(
            { length: kvHeads },
            (_, head) => Int32Array.from({ length: 12 - head }, (_, index) => index),
          );
          await cache.compact(layer, kept);
        }
        for (const count of [2, 7]) {
          const next = ids(count);
          const probed = await engine.probe(sequence, { ids: next, observe: true, queries: true });
          using fork = await cache.fork();
          const written = { ...sequence, cache: fork };
          let logits: Float32Array = new Float32Array();
          for (const id of next) {
            ({ logits } = await engine.advance(written, { ids: [id] }));
          }
          assertClose(probed.logits, logits, { absolute: 0.02 }, `${count} tokens`);
          const global = Array.from({ length: layers }, (_, layer) => layer)
            .filter((layer) => cache.window(layer) === undefined);
          assertEquals(probed.attentionSums.length, global.length);
          for (const rows of probed.attentionSums) {
            const sums = await rows.floats();
            const total = sums.reduce((sum, one) => sum + one, 0);
            assertClose([total], [count * engine.config.heads], { absolute: 1e-3 });
          }
          using other = await cache.fork();
          const read = { ...sequence, cache: other };
          const exact = await engine.advance(read, { ids: next });
          assertNotEquals(probed.logits, exact.logits);
          assert(sequence.position === 20, "a probe leaves its sequence as it was");
        }
      });
    }
  }
}
