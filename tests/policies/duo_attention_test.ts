import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { adaKv } from "../../policies/ada_kv.ts";
import { criticalKv } from "../../policies/critical_kv.ts";
import { duoAttention, type DuoAttentionOptions } from "../../policies/duo_attention.ts";
import { knorm } from "../../policies/knorm.ts";
import { type ModelFile, OptionError } from "../../policies/policy.ts";
import { pyramid } from "../../policies/pyramid.ts";
import { randomIds, tinyModel } from "../_test_model.ts";
import { fakeFacts } from "./_fake_tokens.ts";
import {
  assertKeepsLikeGolden,
  goldenTensor,
  HEADS_MODELS,
  SLIDING_HEADS_MODELS,
} from "./_heads_goldens.ts";

function fileOf(gates: readonly (readonly number[])[]): ModelFile {
  const data = Float32Array.from(gates.flat());
  const shape = [gates.length, gates[0]?.length ?? 0];
  return { kind: "duo_attention", tensors: { gates: { shape, data } } };
}

async function fitted(options: DuoAttentionOptions) {
  const policy = await duoAttention(options).forModel?.(fakeFacts());
  assert(policy?.allocateHeads && policy.acrossLayers);
  return { ...policy, allocateHeads: policy.allocateHeads };
}

const SCORES = Array.from({ length: 4 }, () => new Float32Array(20));

Deno.test("duo_attention gives whole texts to the heads that look back most, by hand", async () => {
  const heads = fileOf([[0.1, 0.9], [0.5, 0.5]]);
  const { allocateHeads, note } = await fitted({ heads, sinks: 1, recent: 3 });
  assertEquals(note, undefined);
  // 4 for each; 16 more for head 1, then for head 2, the first of equal ones.
  assertEquals(await allocateHeads({ scores: SCORES, keep: 12 }), [4, 20, 20, 4]);
  assertEquals(await allocateHeads({ scores: SCORES, keep: 13 }), [4, 20, 20, 8]);
  assertEquals(await allocateHeads({ scores: SCORES, keep: 4 }), [4, 4, 4, 4]);
  // Less than all would keep: the same for each.
  assertEquals(await allocateHeads({ scores: SCORES, keep: 3 }), [3, 3, 3, 3]);
  assertEquals(await allocateHeads({ scores: SCORES, keep: 20 }), [20, 20, 20, 20]);
});

Deno.test("duo_attention keeps pinned tokens of streaming heads too", async () => {
  const heads = fileOf([[0.1, 0.9], [0.5, 0.5]]);
  const { allocateHeads } = await fitted({ heads, sinks: 1, recent: 3 });
  const scores = SCORES.map((ofHead) => ofHead.slice().fill(Infinity, 0, 6));
  assertEquals(await allocateHeads({ scores, keep: 10 }), [6, 20, 8, 6]);
});

Deno.test("duo_attention with an inner policy lets a share of the heads stream", async () => {
  const heads = fileOf([[0.1, 0.9], [0.5, 0.4]]);
  const { allocateHeads } = await fitted({ inner: knorm(), heads, sinks: 1, recent: 3 });
  assertEquals(await allocateHeads({ scores: SCORES, keep: 10 }), [4, 16, 16, 4]);
  // Never more than an even share for those that stream.
  assertEquals(await allocateHeads({ scores: SCORES, keep: 3 }), [3, 3, 3, 3]);
  // What retrieval heads cannot hold goes back to the others.
  assertEquals(await allocateHeads({ scores: SCORES, keep: 15 }), [16, 20, 20, 4]);
});

Deno.test("duo_attention scores streaming heads by recency and the others as the inner policy does", async () => {
  await using test = await tinyModel("tiny-llama");
  const { model } = test;
  const ids = randomIds(40, 320);
  const heads = fileOf([[0.1, 0.9], [0.8, 0.2], [0.7, 0.3]]);
  const options = { inner: knorm(), heads, sinks: 2, recent: 6, streaming: 0.5 };
  await using session = model.session({ policy: duoAttention(options), budget: 12 });
  const { kept, scores } = await session.read({ ids }, { scores: true });
  await using alone = model.session({ policy: knorm(), budget: 16 });
  const inner = await alone.read({ ids }, { scores: true });
  const streaming = Int32Array.from([0, 1, 34, 35, 36, 37, 38, 39]);
  const streams = [[true, false], [false, true], [false, true]];
  for (const [layer, kinds] of streams.entries()) {
    for (const [head, stream] of kinds.entries()) {
      const found = kept[layer]?.[head];
      assertEquals(found, stream ? streaming : inner.kept[layer]?.[head]);
      if (!stream) {
        assertEquals(
          scores[layer]?.slice(head * 40, head * 40 + 40),
          inner.scores[layer]?.slice(head * 40, head * 40 + 40),
        );
      }
    }
  }
  // Heads hold different numbers now, and are shown one by one: they stay what they are.
  const again = await session.append({ ids: randomIds(8, 320) });
  assertEquals(again.kept[1]?.[1]?.length, 8);
  assertEquals(again.kept[1]?.[0]?.length, 16);
});

Deno.test("duo_attention without a file lets every head stream, or none, and says so", async () => {
  const { allocateHeads, note } = await fitted({});
  assertEquals(await allocateHeads({ scores: SCORES, keep: 7 }), [7, 7, 7, 7]);
  assertEquals(
    note,
    "no file ships for this model, so every head keeps its first and last tokens alone; make one with " +
      "`kvjudge train duo-attention`",
  );
  const inner = await fitted({ inner: knorm() });
  assertEquals(await inner.allocateHeads({ scores: SCORES, keep: 7 }), [7, 7, 7, 7]);
  assert(inner.note?.includes("so no head streams"));
});

Deno.test("duo_attention refuses what cannot be, by name", async () => {
  assertThrows(
    () => duoAttention({ streaming: 0.5 }),
    OptionError,
    "'streaming' is for an inner policy",
  );
  assertThrows(() => duoAttention({ inner: adaKv() }), OptionError, "among the heads itself");
  assertThrows(() => duoAttention({ inner: pyramid() }), OptionError, "among the layers itself");
  assertThrows(() => duoAttention({ inner: criticalKv() }), OptionError, "chooses in two stages");
  const { allocateHeads } = await fitted({ heads: fileOf([[0.5, 0.5]]) });
  assertThrows(
    () => allocateHeads({ scores: SCORES, keep: 10 + 90 }),
    OptionError,
    "gates of 2 KV heads, and the model evicts from 4",
  );
  const empty = { kind: "duo_attention", tensors: {} };
  await assertRejects(
    () => fitted({ heads: empty }),
    OptionError,
    "must be [layers, KV heads], it is absent",
  );
});

for (const name of [...HEADS_MODELS, ...SLIDING_HEADS_MODELS]) {
  Deno.test(`duo_attention keeps what kvpress keeps with the same gates, and decodes as it does: ${name}`, async () => {
    const gates = goldenTensor(name, "duo_attention.gates");
    const heads = { kind: "duo_attention", tensors: { gates } };
    // Half of the heads keep everything, the others 16 tokens, as many as kvpress' rounding says; 15 where
    // three heads share a layer, which then keeps a whole number for each.
    const [layers = 0, kvHeads = 0] = gates.shape;
    const streaming = Math.round(layers * kvHeads / 2);
    const recent = kvHeads === 3 ? 11 : 12;
    await assertKeepsLikeGolden(
      name,
      "duo_attention",
      duoAttention({ heads, sinks: 4, recent }),
      (tokens) => {
        const total = (4 + recent) * streaming + tokens * (layers * kvHeads - streaming);
        return Array.from({ length: layers }, (_, layer) => {
          const upTo = (end: number) => Math.ceil(end * total / kvHeads / layers);
          return upTo(layer + 1) - upTo(layer);
        });
      },
    );
  });
}
