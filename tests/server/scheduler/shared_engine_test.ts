import { assert, assertEquals } from "@std/assert";
import { inputsHere } from "../../../runtime/engine/host/predicted_scores.ts";
import { createPrefixCache } from "../../../server/scheduler/prefix_cache.ts";
import { laneOf } from "../../../server/scheduler/shared_engine.ts";
import { createTurns } from "../../../server/scheduler/turns.ts";
import { newSequence, randomIds, tinyModel } from "../../_test_model.ts";

Deno.test("a step of which more than logits is wanted is taken, though it was read before", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const { engine } = tiny.model;
  const turns = createTurns(engine, 8, () => 0);
  const prefixes = createPrefixCache(() => 0);
  const ids = randomIds(12, engine.config.vocabulary, 3);
  const read = async (wanted: Parameters<typeof engine.advance>[1]) => {
    let cached = 0;
    const lane = laneOf(engine, turns, prefixes, { onCached: (tokens) => cached += tokens });
    const sequence = newSequence(engine);
    using _cache = sequence.cache;
    return { cached: () => cached, ...(await lane.engine.advance(sequence, { ids, ...wanted })) };
  };
  assertEquals((await read({})).cached(), 0);
  assertEquals((await read({})).cached(), ids.length);
  const plain = newSequence(engine);
  using _cache = plain.cache;
  const expected = await engine.advance(plain, { ids, layerInputs: true });
  const found = await read({ layerInputs: true });
  assert(found.layerInputs && expected.layerInputs);
  assertEquals(found.cached(), 0);
  assertEquals(inputsHere(found.layerInputs), inputsHere(expected.layerInputs));
});
