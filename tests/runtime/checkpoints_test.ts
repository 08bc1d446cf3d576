import { GROUP_READERS, type QuantisedType } from "../../runtime/checkpoint/block_groups.ts";
import { assert, assertEquals } from "@std/assert";
import { knorm } from "../../policies/knorm.ts";
import type { RopeScaling } from "../../runtime/checkpoint/checkpoint.ts";
import { FAMILIES } from "../../runtime/checkpoint/families/mod.ts";
import { assertClose, largestDifference } from "../_close.ts";
import type { RandomModel } from "../_random_checkpoint.ts";
import {
  newSequence,
  randomIds,
  type RandomOptions,
  randomTestModel,
  type TestModel,
} from "../_test_model.ts";

/** Sizes that divide into nothing: 3 KV heads of 6, head size 12, 70 columns, 400 tokens. */
const ODD: RandomModel = {
  hidden: 70,
  heads: 6,
  kvHeads: 3,
  headDim: 12,
  intermediate: 100,
  vocabulary: 400,
};

/** Sizes that GGUF's blocks of 32 can hold, odd otherwise. */
const BLOCKS: RandomModel = {
  ...ODD,
  hidden: 96,
  headDim: 16,
  intermediate: 160,
};

/** float32 noise of the graph against double precision. */
const EXACT = { absolute: 1e-3 };

/** Reads a prompt in chunks that do not divide it; gives all logits, `[prompt, vocabulary]`. */
async function logitsOf({ model: { engine } }: TestModel, ids: readonly number[]) {
  const sequence = newSequence(engine);
  using _cache = sequence.cache;
  sequence.planned = ids.length;
  const logits: number[] = [];
  for (let start = 0; start < ids.length; start += 13) {
    const chunk = ids.slice(start, start + 13);
    const rows = chunk.map((_, index) => index);
    logits.push(...(await engine.advance(sequence, { ids: chunk, rows })).logits);
  }
  return Float32Array.from(logits);
}

/** Checks logits, greedy text and kept sets against the slow twin. */
async function assertSameAsReference(test: TestModel, tokens = 45): Promise<void> {
  const { model, reference } = test;
  const { vocabulary } = model.config;
  const ids = randomIds(tokens, vocabulary);
  const expected = reference.run(ids);
  assertClose(await logitsOf(test, ids), expected.logits, EXACT, "logits");
  await assertKept(test, ids);
  await using full = model.session({ policy: knorm(), budget: 1000, chunk: 7 });
  const answer = full.generate({ ids }, { maxTokens: 6 });
  for await (const _ of answer);
  const greedy = reference.greedy(ids, 6);
  const end = greedy.findIndex((id) => model.config.eosIds.includes(id));
  assertEquals(answer.ids, end < 0 ? greedy : greedy.slice(0, end));
}

async function assertKept({ model, reference }: TestModel, ids: readonly number[]) {
  const { kvHeads, headDim } = model.config;
  const tokens = ids.length;
  const { cache } = reference.run(ids);
  await using session = model.session({ policy: knorm(), budget: 11, chunk: 7 });
  const { kept } = await session.read({ ids });
  for (const [layer, keys] of cache.keys.entries()) {
    const { window } = model.config.layerKinds[layer] ?? {};
    if (window !== undefined) {
      // Indices of its entries: a layer that slides keeps all that it holds.
      const all = Array.from({ length: window - 1 }, (_, index) => index);
      const held = kept[layer]?.map((head) => [...head]);
      assertEquals(held, new Array(kvHeads).fill(all), `held in layer ${layer}`);
      continue;
    }
    const norms = Array.from(
      { length: tokens * kvHeads },
      (_, row) => Math.hypot(...keys.subarray(row * headDim, (row + 1) * headDim)),
    );
    const wanted = Array.from({ length: kvHeads }, (_, head) =>
      ids.map((_, token) => token)
        .sort((a, b) => (norms[a * kvHeads + head] ?? NaN) - (norms[b * kvHeads + head] ?? NaN))
        .slice(0, 11).sort((a, b) => a - b));
    assertEquals(kept[layer]?.map((head) => [...head]), wanted, `kept in layer ${layer}`);
  }
}

function testCheckpoint(what: string, spec: RandomModel, options?: RandomOptions): void {
  Deno.test(`loadModel() runs ${what} as the reference does`, async () => {
    await using test = await randomTestModel(spec, options);
    await assertSameAsReference(test);
  });
}

for (const { name: family } of FAMILIES) {
  testCheckpoint(`${family} with odd sizes`, { ...ODD, family });
  testCheckpoint(`${family} with one KV head and tied embeddings`, {
    ...ODD,
    family,
    kvHeads: 1,
    tied: true,
    seed: 2,
  });
  testCheckpoint(`${family} from GGUF`, { ...BLOCKS, family }, { gguf: { type: "F32" } });
}

/** A window that divides neither chunks nor the text, which is longer. */
const SLIDING = { ...ODD, layers: 4, window: 17 };
for (const family of ["mistral", "qwen2", "gemma3", "phi3", "smollm3"]) {
  testCheckpoint(`${family} with a window`, { ...SLIDING, family }, {
    folder: { settings: { max_window_layers: 2 } },
  });
}
for (const family of ["gemma3", "phi3"]) {
  testCheckpoint(`${family} with a window from GGUF`, {
    ...BLOCKS,
    layers: 3,
    window: 17,
    family,
  }, { gguf: {} });
}
testCheckpoint("gemma3 with linear scaling of its global layers and queries scaled otherwise", {
  ...SLIDING,
  family: "gemma3",
  globalEvery: 3,
  queryScalar: 23,
  ropeScaling: { kind: "linear", factor: 8 },
}, { folder: { form: "old" } });
testCheckpoint("gemma3 with one wide KV head, tied, from GGUF with linear scaling", {
  ...BLOCKS,
  layers: 4,
  family: "gemma3",
  window: 9,
  kvHeads: 1,
  headDim: 32,
  tied: true,
  globalEvery: 3,
  ropeScaling: { kind: "linear", factor: 8 },
}, { gguf: {} });
const LONGROPE: RopeScaling = {
  kind: "longrope",
  shortFactors: [1, 1.1, 1.2, 1.3, 1.4, 1.5],
  longFactors: [1, 2, 3, 5, 8, 13],
  originalContext: 32,
  attentionFactor: 1.2,
};
testCheckpoint("phi3 with LongRoPE beyond its original context", {
  ...ODD,
  family: "phi3",
  ropeScaling: LONGROPE,
});
testCheckpoint("phi3 with LongRoPE within its original context", {
  ...ODD,
  family: "phi3",
  ropeScaling: { ...LONGROPE, originalContext: 64 },
});
testCheckpoint("phi3 with LongRoPE and a window from GGUF", {
  ...BLOCKS,
  family: "phi3",
  window: 21,
  ropeScaling: {
    ...LONGROPE,
    shortFactors: [1, 1, 1, 1, 1, 1, 1, 2],
    longFactors: [1, 2, 3, 4, 5, 6, 7, 8],
  },
}, { gguf: {} });
testCheckpoint("smollm3 with five layers, one of them not rotated, from GGUF", {
  ...BLOCKS,
  layers: 5,
  family: "smollm3",
}, { gguf: {} });
testCheckpoint("llama with as many KV heads as heads", { ...ODD, kvHeads: 6 });
testCheckpoint("llama with one head", { ...ODD, heads: 1, kvHeads: 1 });
testCheckpoint("llama with biases everywhere", { ...ODD, attentionBias: true, mlpBias: true });

const SCALINGS: Readonly<Record<string, RopeScaling>> = {
  llama3: {
    kind: "llama3",
    factor: 8,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalContext: 32,
  },
  linear: { kind: "linear", factor: 2.5 },
};
for (const [name, ropeScaling] of Object.entries(SCALINGS)) {
  testCheckpoint(`${name} RoPE scaling`, { ...ODD, ropeScaling, context: 64 });
  testCheckpoint(`${name} RoPE scaling from GGUF`, { ...BLOCKS, ropeScaling, context: 64 }, {
    gguf: {},
  });
}
testCheckpoint("dynamic RoPE scaling within the original context", {
  ...ODD,
  ropeScaling: { kind: "dynamic", factor: 3, originalContext: 64 },
  context: 64,
});
testCheckpoint("dynamic RoPE scaling beyond the original context", {
  ...ODD,
  ropeScaling: { kind: "dynamic", factor: 4, originalContext: 20 },
  context: 20,
});
testCheckpoint("the RoPE factors of a GGUF file", {
  ...BLOCKS,
  ropeScaling: { kind: "factors", factors: [1, 1, 2, 3, 5, 8, 8, 8] },
}, { gguf: {} });
testCheckpoint("float16", ODD, { folder: { dtype: "F16" } });
testCheckpoint("bfloat16 in three shards", ODD, { folder: { dtype: "BF16", shards: 3 } });
testCheckpoint("settings of older transformers", {
  ...ODD,
  ropeScaling: { kind: "linear", factor: 2 },
}, {
  folder: { form: "old" },
});

const QUANTISED = Object.keys(GROUP_READERS) as QuantisedType[];

for (const type of ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1"] as const) {
  testCheckpoint(`GGUF in ${type} with fp32`, BLOCKS, { gguf: { type } });
}

for (const type of ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1"] as const) {
  Deno.test(`loadModel() runs ${type} in int8 close to fp32`, async () => {
    await using test = await randomTestModel(BLOCKS, { gguf: { type }, precision: "int8" });
    const error = await meanError(test);
    console.log(`${type} in int8: mean error ${error.toFixed(4)} of the logits' spread`);
    assert(error < INT8, `${error}`);
  });
}

for (const family of ["llama", "qwen2", "qwen3"] as const) {
  Deno.test(`loadModel() runs ${family} with odd sizes in int8 close to fp32`, async () => {
    for (const tied of [false, true]) {
      const spec = { ...ODD, family, tied, attentionBias: true, seed: 3 };
      await using test = await randomTestModel(spec, { precision: "int8" });
      const error = await meanError(test);
      assert(error < INT8, `${error}, tied ${tied}`);
    }
  });
}

for (const type of ["Q4_0", "Q4_1"] as const) {
  for (const tied of [false, true]) {
    Deno.test(`loadModel() runs ${type}${tied ? ", tied," : ""} in int4 no worse than in int8`, async () => {
      const errors: number[] = [];
      for (const seed of [1, 2, 3]) {
        const spec = { ...BLOCKS, tied, seed };
        await using int4 = await randomTestModel(spec, { gguf: { type }, precision: "int4" });
        await using int8 = await randomTestModel(spec, { gguf: { type }, precision: "int8" });
        errors.push(await meanError(int4), await meanError(int8));
      }
      const mean = (offset: number) =>
        (at(errors, offset) + at(errors, offset + 2) + at(errors, offset + 4)) / 3;
      console.log(`${type}: int4 ${mean(0).toFixed(4)}, int8 ${mean(1).toFixed(4)}`);
      assert(mean(0) < INT8, `${mean(0)}`);
      assert(mean(0) < mean(1), `${mean(0)} is not less than ${mean(1)}`);
    });
  }
}

/** Sizes that blocks of 256 divide. */
const WIDE = { ...BLOCKS, hidden: 256, heads: 4, kvHeads: 2, headDim: 64, intermediate: 256 };

for (const type of QUANTISED) {
  testCheckpoint(`GGUF in ${type} with fp32, from blocks of its own`, WIDE, {
    gguf: { blocks: () => type },
  });
  Deno.test(`loadModel() runs ${type} in the precision it takes itself, close to fp32`, async () => {
    await using test = await randomTestModel(WIDE, {
      gguf: { blocks: () => type },
      precision: "auto",
    });
    const fourBit = ["Q4_0", "Q4_1", "Q4_K"].includes(type);
    assertEquals(test.model.precision, fourBit ? "int4" : "int8");
    const error = await meanError(test);
    assert(error < INT8, `${error}`);
  });
}

Deno.test("loadModel() runs a mixture of Q4_K, Q6_K and Q5_0 as converters make it", async () => {
  const blocks = (name: string): QuantisedType =>
    /token_embd|attn_v|ffn_down/.test(name) ? "Q6_K" : /ffn_up/.test(name) ? "Q5_0" : "Q4_K";
  const options = { gguf: { blocks }, precision: "auto" } as const;
  await using test = await randomTestModel({ ...WIDE, tied: true }, options);
  assertEquals(test.model.precision, "int4");
  const error = await meanError(test);
  assert(error < INT8, `${error}`);
});

/** Share of the logits' spread that rounding weights and activations to 8 bits may cost on average. */
const INT8 = 0.04;

async function meanError(test: TestModel): Promise<number> {
  const ids = randomIds(45, test.model.config.vocabulary);
  const expected = test.reference.run(ids).logits;
  const actual = await logitsOf(test, ids);
  assertEquals(actual.length, expected.length);
  let [error, spread] = [0, 0];
  for (const [index, value] of expected.entries()) {
    error += (at(actual, index) - value) ** 2;
    spread += value ** 2;
  }
  return Math.sqrt(error / spread);
}

function at(values: ArrayLike<number>, index: number): number {
  return values[index] ?? NaN;
}

Deno.test("meanError() sees a wrong model", async () => {
  await using test = await randomTestModel(ODD, { precision: "int8" });
  await using other = await randomTestModel({ ...ODD, seed: 9 });
  const wrong = { ...test, reference: other.reference };
  assert(await meanError(wrong) > 1);
});

Deno.test("loadModel() gives the same for a checkpoint in one file and in shards", async () => {
  await using one = await randomTestModel(ODD, { precision: "int8" });
  await using shards = await randomTestModel(ODD, { precision: "int8", folder: { shards: 4 } });
  const ids = randomIds(30, 400);
  assertEquals(largestDifference(await logitsOf(one, ids), await logitsOf(shards, ids)), 0);
});
