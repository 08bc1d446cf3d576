import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { kvZap } from "../../policies/kvzap.ts";
import { type ModelFile, OptionError } from "../../policies/policy.ts";
import { whileDecoding } from "../../policies/while_decoding.ts";
import { whileReading } from "../../policies/while_reading.ts";
import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import { readFloats, readSafetensors, readTensor } from "../../runtime/checkpoint/safetensors.ts";
import { BudgetError, EvidenceError } from "../../runtime/errors.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import { assertClose } from "../_close.ts";
import { fixture, newSequence, randomIds, tinyModel } from "../_test_model.ts";
import { openGolden } from "../runtime/_golden_file.ts";
import { fakeFacts } from "./_fake_tokens.ts";
import {
  assertKeepsLikeGolden,
  goldenTensor,
  HEADS_MODELS,
  SLIDING_HEADS_MODELS,
} from "./_heads_goldens.ts";

/** The networks of kvpress for a checkpoint. */
function goldenNetworks(model: string, kind: string): ModelFile {
  const prefix = `kvzap.${kind}.`;
  const { tensors } = readSafetensors(fixture(`heads/${model}.safetensors`));
  const names = [...tensors.keys()].filter((name) => name.startsWith(`${prefix}layers.`));
  return {
    kind: "kvzap",
    tensors: Object.fromEntries(
      names.map((name) => [name.slice(prefix.length), goldenTensor(model, name)]),
    ),
  };
}

/** Networks that give each head the same score whatever they read. */
function constant(scores: readonly (readonly number[])[], hidden: number): ModelFile {
  return {
    kind: "kvzap",
    tensors: Object.fromEntries(scores.flatMap((ofLayer, layer) => [
      [`layers.${layer}.weight`, {
        shape: [ofLayer.length, hidden],
        data: new Float32Array(ofLayer.length * hidden),
      }],
      [`layers.${layer}.bias`, { shape: [ofLayer.length], data: Float32Array.from(ofLayer) }],
    ])),
  };
}

/** Layers that were scored: those that slide have no scores. */
function layersOf(scores: readonly Float32Array[]): number[] {
  return [...scores.entries()].flatMap(([layer, { length }]) => length > 0 ? [layer] : []);
}

for (const name of [...HEADS_MODELS, ...SLIDING_HEADS_MODELS]) {
  for (const kind of ["linear", "mlp"]) {
    Deno.test(`kvzap scores and keeps what kvpress does with the same networks: ${name}, ${kind}`, async () => {
      const surrogate = goldenNetworks(name, kind);
      const [threshold = 0] = goldenTensor(name, `kvzap.${kind}.threshold`).data;
      const policy = kvZap({ surrogate, threshold, window: 8 });
      const scores = await assertKeepsLikeGolden(
        name,
        `kvzap.${kind}`,
        policy,
        () => ({ ratio: 1 }),
      );
      const scored = layersOf(scores);
      const networks = Object.keys(surrogate.tensors).map((tensor) => tensor.split(".")[1]);
      assertEquals(scored.length, new Set(networks).size);
      for (const layer of scored) {
        const { data } = goldenTensor(name, `kvzap.${kind}.scores.${layer}`);
        assertClose(scores[layer] ?? [], data, { absolute: 1e-4 }, `scores of layer ${layer}`);
      }
    });

    Deno.test(`kvzap judges token by token as kvpress does while it decodes: ${name}, ${kind}`, async () => {
      await using test = await tinyModel(name);
      const { engine } = test.model;
      const golden = openGolden(name);
      const path = fixture(`heads/${name}.safetensors`);
      const [threshold = 0] = goldenTensor(name, `kvzap.${kind}.threshold`).data;
      const policy = kvZap({ surrogate: goldenNetworks(name, kind), threshold, window: 8 });
      const sequence = newSequence(engine);
      using cache = sequence.cache;
      const given = {
        ...{ engine, sequence, policy, chunk: 37, now: () => 0, scores: false },
        budget: { ratio: 1 },
        facts: await test.model.facts(),
      };
      const text = [...golden.integers("input_ids")];
      let { attentionSums: earlier } = await readPrompt({ ...given, ids: text });
      const logits: number[] = [];
      for (const id of golden.integers("greedy").slice(0, 4)) {
        const reading = await readPrompt({ ...given, ids: [id], before: [...text], earlier });
        logits.push(...reading.logits);
        earlier = reading.attentionSums;
        text.push(id);
      }
      const expected = readFloats(path, `kvzap.${kind}.decoding.decode_logits`).data;
      assertClose(logits, expected, { absolute: 2e-3 }, "decode_logits");
      for (const layer of globalLayers(engine.config)) {
        const mask = Array.from(
          readTensor(path, `kvzap.${kind}.decoding.mask.${layer}`).data,
          Number,
        );
        const positions = [...cache.positions(layer)];
        const kept = mask.flatMap((one, at) => one === 1 ? [at % text.length] : []);
        assertEquals(positions, kept, `layer ${layer}`);
      }
    });
  }
}

Deno.test("kvzap keeps the best of all heads, and with a threshold those above it, by hand", async () => {
  await using test = await tinyModel("tiny-llama");
  const { model } = test;
  const surrogate = constant([[3, -1], [2, -2], [1, -3]], model.engine.config.hidden);
  const countsWith = async (options: object, budget: number | { readonly ratio: number }) => {
    const policy = kvZap({ surrogate, window: 4, ...options });
    await using session = model.session({ policy, budget });
    const { kept } = await session.read({ ids: randomIds(40, 320) });
    return kept.map((heads) => heads.map(({ length }) => length));
  };
  // 60 tokens: 4 for each of six heads, 36 more for the best head: then nothing is left.
  assertEquals(await countsWith({}, 10), [[40, 4], [4, 4], [4, 4]]);
  assertEquals(await countsWith({}, 18), [[40, 4], [40, 4], [16, 4]]);
  assertEquals(await countsWith({ layerwise: true }, 10), [[16, 4], [16, 4], [16, 4]]);
  assertEquals(await countsWith({ threshold: 0 }, { ratio: 1 }), [[40, 4], [40, 4], [40, 4]]);
  assertEquals(await countsWith({ threshold: 1.5 }, { ratio: 1 }), [[40, 4], [40, 4], [4, 4]]);
  // The budget is the most that stays.
  assertEquals(await countsWith({ threshold: 1.5 }, 10), [[40, 4], [4, 4], [4, 4]]);
  assertEquals(await countsWith({ threshold: 5, window: 0 }, { ratio: 1 }), [[1, 1], [1, 1], [
    1,
    1,
  ]]);
});

Deno.test("kvzap scores a text that is read in turns and pieces as one that is read at once", async () => {
  await using test = await tinyModel("tiny-qwen3");
  const { model } = test;
  const surrogate = goldenNetworks("tiny-qwen3", "mlp");
  const policy = kvZap({ surrogate, window: 8 });
  const ids = randomIds(90, 320);
  await using whole = model.session({ policy, budget: 90 });
  const { scores } = await whole.read({ ids }, { scores: true });
  await using turns = model.session({ policy, budget: 90 });
  await turns.read({ ids: ids.slice(0, 50) });
  await turns.append({ ids: ids.slice(50, 60) });
  const last = await turns.append({ ids: ids.slice(60) }, { scores: true });
  for (const [layer, ofLayer] of scores.entries()) {
    assertClose(last.scores[layer] ?? [], ofLayer, { absolute: 1e-3 }, `layer ${layer}`);
  }
  await using pieces = model.session({
    policy: whileReading({ inner: policy, every: 16 }),
    budget: 20,
  });
  const { kept } = await pieces.read({ ids });
  assertEquals(kept.flat().reduce((sum, { length }) => sum + length, 0), 20 * kept.flat().length);
});

Deno.test("kvzap evicts while an answer is written, and what was written is scored", async () => {
  await using test = await tinyModel("tiny-llama");
  const { model } = test;
  const surrogate = constant([[3, -1], [2, -2], [1, -3]], model.engine.config.hidden);
  const inner = kvZap({ surrogate, window: 4, threshold: 0 });
  await using session = model.session({
    policy: whileDecoding({ inner, every: 4 }),
    budget: { ratio: 1 },
  });
  await session.read({ ids: randomIds(40, 320) });
  for await (const _ of session.generate({ maxTokens: 13 })) { /* written */ }
  const more = await session.append({ ids: randomIds(5, 320) });
  const counts = more.kept.flat().map(({ length }) => length);
  const text = session.ids.length;
  assertEquals(counts, [text, 4, text, 4, text, 4]);
});

Deno.test("kvzap without a file scores all the same, says so, and refuses files that do not fit", async () => {
  const facts = fakeFacts();
  assertEquals(
    (await kvZap().forModel?.(facts))?.note,
    "no file ships for this model, so every token scores 0; make one with `kvjudge train kvzap`",
  );
  const empty = { kind: "kvzap", tensors: {} };
  await assertRejects(
    async () => await kvZap({ surrogate: empty }).forModel?.(facts),
    OptionError,
    'it has neither "layers.0.weight" nor "layers.0.0.weight"',
  );
  assertThrows(() => kvZap({ threshold: NaN }), OptionError, "'threshold' must be a number");
  await using test = await tinyModel("tiny-llama");
  const policy = kvZap({ surrogate: constant([[1, 2]], 8), window: 4 });
  await using session = test.model.session({ policy, budget: 10 });
  await assertRejects(
    () => session.read({ ids: randomIds(40, 320) }),
    EvidenceError,
    "the networks must be 3, one for each layer that can be evicted",
  );
});

Deno.test("kvzap keeps its window of a short prompt whose ratio is less, and refuses tokens that are", async () => {
  await using test = await tinyModel("tiny-llama");
  const { model } = test;
  const surrogate = constant([[3, -1], [2, -2], [1, -3]], model.engine.config.hidden);
  const ids = randomIds(200, 320);
  for (const options of [{ window: 128 }, { threshold: 0 }]) {
    await using session = model.session({
      policy: kvZap({ surrogate, ...options }),
      budget: 0.1,
    });
    const whole = await session.read({ ids: ids.slice(0, 60) });
    assertEquals(new Set(whole.kept.flat().map(({ length }) => length)), new Set([60]));
    assertEquals(session.stats().notes, [
      "nothing was evicted: what the policy and the session always keep is all of the prompt's 60 " +
      "tokens",
    ]);
    const cut = await session.read({ ids });
    const window = Array.from({ length: 128 }, (_, index) => index + 72);
    for (const kept of cut.kept.flat()) assertEquals([...kept], window);
    assertEquals(session.stats().notes, [
      "the budget's ratio came to fewer tokens than kvzap always keeps: those were kept",
    ]);
    await using tokens = model.session({ policy: kvZap({ surrogate, ...options }), budget: 64 });
    await assertRejects(() => tokens.read({ ids }), BudgetError, "it always keeps 128");
    const few = await tokens.read({ ids: ids.slice(0, 64) });
    assertEquals(new Set(few.kept.flat().map(({ length }) => length)), new Set([64]));
  }
});

Deno.test("kvzap gives its last tokens an eighth of a budget, and 128 of a large one", async () => {
  await using test = await tinyModel("tiny-llama");
  const { model } = test;
  const surrogate = constant([[3, -1], [2, -2], [1, -3]], model.engine.config.hidden);
  const { protect } = kvZap({ surrogate });
  if (typeof protect !== "function") throw new TypeError("the window must follow the budget");
  assertEquals(await protect(7, 200), { recent: 0 });
  assertEquals(await protect(256, 2000), { recent: 32 });
  assertEquals(await protect(4096, 8000), { recent: 128 });
  await using session = model.session({ policy: kvZap({ surrogate }), budget: 64 });
  const { kept } = await session.read({ ids: randomIds(200, 320) });
  const last = Array.from({ length: 8 }, (_, index) => index + 192);
  for (const head of kept.flat()) assertEquals([...head].slice(-8), last);
});
