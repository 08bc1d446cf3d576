import { assert, assertEquals } from "@std/assert";
import type { SoftAdapters } from "../../../policies/policy.ts";
import { globalLayersOf } from "../../../runtime/cache/global_layers.ts";
import type { Rows } from "../../../runtime/engine/rows.ts";
import { holdSequence, rollbackSequence } from "../../../runtime/engine/sequence.ts";
import { assertClose, noise } from "../../_close.ts";
import { randomAdapters } from "../../_random_adapters.ts";
import { newSequence, randomIds, TINY, tinyModel, WINDOWED } from "../../_test_model.ts";

const HELD = 40;
const CLOSE = { absolute: 1e-5 };

for (const name of [...TINY, ...WINDOWED]) {
  for (const ragged of [false, true]) {
    const heads = ragged ? "ragged heads" : "heads of one length";
    for (const adapted of [false, true]) {
      const how = adapted ? "with adapters for embeddings alone" : "in one step";
      Deno.test(`probe() of ${name}, ${heads}, tells ids apart from embeddings ${how}`, async () => {
        await using tiny = await tinyModel(name);
        const { engine, config } = tiny.model;
        const sequence = newSequence(engine);
        using cache = sequence.cache;
        await engine.advance(sequence, { ids: randomIds(HELD, config.vocabulary) });
        const globals = globalLayersOf(cache);
        for (const layer of ragged ? globals : []) {
          cache.compact(
            layer,
            Array.from(
              { length: config.kvHeads },
              (_, head) => Int32Array.from({ length: 20 - 3 * head }, (_, index) => index + head),
            ),
          );
        }
        const held = globals.map((layer) => cache.lengths(layer));
        const ids = randomIds(3, config.vocabulary, 9);
        const embeddings = noise(5 * config.hidden, 3);
        const more: { adapters?: SoftAdapters } = adapted
          ? { adapters: randomAdapters(config, { rank: 2 }) }
          : {};

        const probed = await engine.probe(sequence, {
          ...{ ids, embeddings, observe: true, apart: true },
          ...more,
        });
        assertEquals([sequence.position, globals.map((layer) => cache.lengths(layer))], [
          HELD,
          held,
        ]);

        // The same as ids that are read, and embeddings behind them.
        using mark = holdSequence(sequence);
        const paid: (readonly Rows[])[] = [];
        for (const id of ids) {
          const { attentionSums } = await engine.advance(sequence, { ids: [id], observe: true });
          paid.push(attentionSums);
        }
        const behind = await engine.probe(sequence, { embeddings, observe: true, ...more });
        rollbackSequence(sequence, mark);
        const columns = async (rows: Rows | undefined, index: number) =>
          await (await rows?.leading(held[index] ?? []))?.floats() ?? [];
        assertEquals(probed.mostApart?.length, globals.length);
        for (const index of globals.keys()) {
          const ofIds = await columns(probed.mostApart?.[index], index);
          const ofEmbeddings = await columns(probed.attentionSums[index], index);
          assert(ofIds.length > 0);
          const ofEach: ArrayLike<number>[] = [];
          for (const ofId of paid) ofEach.push(await columns(ofId[index], index));
          const most = Array.from(ofIds, (_, at) => Math.max(...ofEach.map((one) => one[at] ?? 0)));
          assertClose(ofIds, most, CLOSE, "ids");
          const expected = await columns(behind.attentionSums[index], index);
          assertClose(ofEmbeddings, expected, CLOSE, "embeddings");
        }
      });
    }
  }
}
