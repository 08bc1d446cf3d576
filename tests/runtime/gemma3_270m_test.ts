import { assert, assertEquals } from "@std/assert";
import { openCheckpoint } from "../../runtime/checkpoint/open.ts";
import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import { loadModel } from "../../runtime/model.ts";
import { greedyToken } from "../../runtime/sampling/greedy.ts";
import { createTokenizer } from "../../runtime/tokenizer/create_tokenizer.ts";
import { gemma3 } from "../_gemma3.ts";
import { fixture, newSequence } from "../_test_model.ts";

interface Entry {
  readonly text: string;
  readonly ids: readonly number[];
  readonly top10: readonly { readonly id: number; readonly logit: number }[];
  readonly greedy: readonly number[];
}

const read = (name: string) => JSON.parse(Deno.readTextFileSync(fixture(`gemma3_270m/${name}`)));
const ENTRIES: readonly Entry[] = read("generation.json");
const path = gemma3() ?? "";
const ignore = path === "";

/** What rounding weights and activations to 8 bits may change of a logit. */
const ROUNDING = 0.2;

/** Tokens that are nearer to one another may change places: decoding rounds more than reading. */
const NEAR_TIE = 0.75;

Deno.test({ name: "openCheckpoint() knows Gemma 3 270M", ignore }, async () => {
  const { config } = await openCheckpoint(path);
  assertEquals(globalLayers(config), [5, 11, 17]);
  assertEquals(config.layerKinds[0], { window: 512, rope: 1 });
  assertEquals(config.ropes.map(({ theta }) => theta), [1_000_000, 10_000]);
  assertEquals([config.context, config.headDim, config.kvHeads], [32_768, 256, 1]);
});

Deno.test(
  { name: "createTokenizer() of Gemma 3 270M gives SentencePiece's ids", ignore },
  async () => {
    const tokenizer = createTokenizer((await openCheckpoint(path)).tokenizer);
    const cases: readonly { readonly text: string; readonly ids: number[] }[] = read(
      "tokenizer.json",
    );
    for (const { text, ids } of cases) {
      assertEquals(tokenizer.encode(text, { bos: false }), ids, JSON.stringify(text));
      assertEquals(tokenizer.decode(ids), text.replaceAll("▁", " "));
    }
    assertEquals(cases.length, 90);
    assertEquals([tokenizer.vocabulary, tokenizer.bosId], [262_144, 2]);
  },
);

Deno.test({ name: "Gemma 3 270M gives llama.cpp's logits and greedy tokens", ignore }, async () => {
  await using model = await loadModel(path, { threads: 1 });
  const { engine, tokenizer, precision } = model;
  assertEquals(precision, "int4");
  for (const { text, ids, top10, greedy } of ENTRIES) {
    assertEquals(tokenizer.encode(text), ids);
    const sequence = newSequence(engine);
    using _cache = sequence.cache;
    let { logits } = await engine.advance(sequence, { ids });
    for (const { id, logit } of top10) {
      const difference = Math.abs((logits[id] ?? NaN) - logit);
      assert(difference < ROUNDING, `${text}: logit of ${id} differs by ${difference}`);
    }
    for (const [step, id] of greedy.entries()) {
      const best = greedyToken(logits);
      const behind = (logits[best] ?? NaN) - (logits[id] ?? NaN);
      assert(behind < NEAR_TIE, `${text}: ${best} is ${behind} before ${id} at ${step}`);
      ({ logits } = await engine.advance(sequence, { ids: [id] }));
    }
  }
});
