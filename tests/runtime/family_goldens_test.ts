import { assertClose } from "../_close.ts";
import { FAMILY_GOLDENS, newSequence, tinyModel } from "../_test_model.ts";
import { openGolden } from "./_golden_file.ts";
import { checkContinuation } from "./_golden_steps.ts";

for (const name of FAMILY_GOLDENS) {
  const golden = openGolden(name);
  const ids = golden.integers("input_ids");

  Deno.test(`engine.advance() gives transformers' logits, queries and keys of ${name}`, async () => {
    await using test = await tinyModel(name);
    const { engine, config } = test.model;
    const whole = newSequence(engine);
    using _whole = whole.cache;
    const rows = ids.map((_, index) => index);
    const { logits, queries, entries } = await engine.advance(whole, { ids, rows, queries: true });
    assertClose(logits, golden.floats("logits"), { absolute: 1e-3 }, "logits");
    for (let layer = 0; layer < config.layers; layer++) {
      const within = (actual: Float32Array | undefined, tensor: string) =>
        assertClose(actual ?? [], golden.floats(tensor), { absolute: 1e-4 }, tensor);
      within(queries[layer]?.data, `q.${layer}`);
      within(entries[layer]?.keys, `k.${layer}`);
    }
    const pieces = newSequence(engine);
    using _pieces = pieces.cache;
    pieces.planned = ids.length;
    const read: number[] = [];
    for (let at = 0; at < ids.length; at += 13) {
      const part = ids.slice(at, at + 13);
      const all = part.map((_, row) => row);
      read.push(...(await engine.advance(pieces, { ids: part, rows: all })).logits);
    }
    assertClose(read, logits, { absolute: 1e-4 }, "in pieces of 13");
  });

  Deno.test(`engine.advance() continues ${name} as transformers does, past its window`, async () => {
    await using test = await tinyModel(name);
    await checkContinuation(test.model.engine, golden, [0, 15, 39]);
  });
}
