import { assert, assertEquals, assertThrows } from "@std/assert";
import { adaKv } from "../../policies/ada_kv.ts";
import { chunkKv } from "../../policies/chunk_kv.ts";
import { criticalKv } from "../../policies/critical_kv.ts";
import { knorm } from "../../policies/knorm.ts";
import { type LayerView, OptionError, type ScorerPolicy } from "../../policies/policy.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { tova } from "../../policies/tova.ts";
import { selectKept } from "../../runtime/evict/contract.ts";
import { topK } from "../../runtime/evict/top_k.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { goldenLayers } from "./_golden.ts";

const scoring = (kvHeads: number, scores: readonly number[], protect = {}): ScorerPolicy => ({
  name: "given",
  evidence: { kind: "accumulated" },
  protect,
  score: ({ length }) => {
    assertEquals(scores.length, kvHeads * length);
    return Float32Array.from(scores);
  },
});

/** A layer whose values have these norms: one number per token and head. */
function normed(kvHeads: number, norms: readonly number[]): LayerView {
  const length = norms.length / kvHeads;
  const values = Float32Array.from(
    norms,
    (_, index) => norms[(index % kvHeads) * length + Math.floor(index / kvHeads)] ?? NaN,
  );
  return fakeLayer({ heads: kvHeads, kvHeads, headDim: 1, length, values });
}

const ascending = (...heads: number[][]) => heads.map((head) => Int32Array.from(head));

Deno.test("criticalKv() keeps the best by score, then the best by score times norm", async () => {
  const inner = scoring(1, [5, 4, 3, 2, 1, 0]);
  const layer = normed(1, [1, 1, 1, 2, 9, 1000]);
  // Half of 4 goes to tokens 0 and 1; of the others 3, 4, 9 and 0.1 (epsilon) remain.
  assertEquals(await selectKept(criticalKv({ inner }), layer, 4), ascending([0, 1, 3, 4]));
  assertEquals(
    await selectKept(criticalKv({ inner, epsilon: 1 }), layer, 4),
    ascending([0, 1, 4, 5]),
  );
  assertEquals(
    await selectKept(criticalKv({ inner, first: 1 }), layer, 4),
    ascending([0, 1, 2, 3]),
  );
  assertEquals(await selectKept(criticalKv({ inner, first: 0 }), layer, 2), ascending([0, 4]));
});

Deno.test("criticalKv() counts protected tokens towards the first part, and keeps them in any case", async () => {
  const inner = scoring(1, [0, 9, 8, 7, 0, 0], { sinks: 1, recent: 2 });
  const layer = normed(1, [0, 1, 1, 9, 0, 0]);
  assertEquals(await selectKept(criticalKv({ inner }), layer, 4), ascending([0, 3, 4, 5]));
});

Deno.test("criticalKv() counts scores below 0 as 0", async () => {
  const layer = normed(1, [3, 2, 1]);
  const inner = scoring(1, [-1, -5, -9]);
  assertEquals(await selectKept(criticalKv({ inner, first: 0 }), layer, 1), ascending([0]));
});

Deno.test("criticalKv() around adaKv() divides by the inner score, then spends in two parts", async () => {
  const inner = scoring(2, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
  const layer = normed(2, [1, 1, 1, 1, 9, 1, 1, 1, 1, 9]);
  const policy = criticalKv({ inner: adaKv({ inner, alpha: 0.5 }), epsilon: 1 });
  // 3 per head, 1 for certain: the first head gets 5 of 6.
  assertEquals(await selectKept(policy, layer, 3), ascending([0, 1, 2, 3, 4], [4]));
  const around = adaKv({ inner: criticalKv({ inner, epsilon: 1 }), alpha: 0.5 });
  assertEquals(await selectKept(around, layer, 3), await selectKept(policy, layer, 3));
  // With 2 per head: 3 for the first, of which the last goes by the norm.
  assertEquals(await selectKept(policy, layer, 2), ascending([0, 1, 4], [4]));
});

Deno.test("criticalKv() equals the plain computation on the layers of the goldens", async () => {
  const policy = criticalKv({ inner: snapKv({ window: 8, kernel: 5, pooling: "avg" }) });
  for (const { model, layer, view, keep } of await goldenLayers(policy)) {
    const { kvHeads, headDim, length } = view;
    const scores = await policy.score(view);
    const values = await view.values();
    const kept = await selectKept(policy, view, keep);
    for (let head = 0; head < kvHeads; head++) {
      const score = (token: number) => scores[head * length + token] ?? NaN;
      const norm = (token: number) =>
        values.slice((token * kvHeads + head) * headDim).slice(0, headDim)
          .reduce((sum, value) => sum + Math.abs(value), 0);
      const best = (tokens: number[], by: (token: number) => number, count: number) =>
        tokens.toSorted((a, b) => by(b) - by(a) || a - b).slice(0, count);
      const others = (tokens: number[]) =>
        Array.from({ length }, (_, token) => token).filter((token) => !tokens.includes(token));
      const recent = Array.from({ length: 8 }, (_, index) => length - 8 + index);
      const first = Math.floor(keep / 2);
      const sure = [...recent, ...best(others(recent), score, Math.max(0, first - 8))];
      const rest = best(
        others(sure),
        (token) => (score(token) + 1e-4) * norm(token),
        keep - sure.length,
      );
      const expected = [...sure, ...rest].sort((a, b) => a - b);
      assertEquals([...kept[head] ?? []], expected, `${model}, layer ${layer}, head ${head}`);
    }
  }
});

/** A layer that gives no norms but those that must be known. */
function stingy(view: LayerView): LayerView {
  const { kvHeads, length } = view;
  return {
    ...view,
    async outputNorms(wanted) {
      const all = await view.outputNorms();
      assert(wanted, "all norms were asked for");
      const norms = new Float32Array(all.length);
      for (let head = 0; head < kvHeads; head++) {
        const start = head * length;
        const products = all.map((norm, at) => norm * (wanted.weights[at] ?? NaN));
        for (const token of topK(products.slice(start, start + length), wanted.counts[head] ?? 0)) {
          norms[start + token] = all[start + token] ?? NaN;
        }
      }
      return norms;
    },
  };
}

Deno.test("criticalKv() asks for no more norms than decide what stays", async () => {
  const inner = snapKv({ window: 8, kernel: 5, pooling: "avg" });
  for (const policy of [criticalKv({ inner }), criticalKv({ inner: adaKv({ inner }) })]) {
    for (const { model, layer, view, keep } of await goldenLayers(policy)) {
      const kept = await selectKept(policy, stingy(view), keep);
      assertEquals(kept, await selectKept(policy, view, keep), `${model}, layer ${layer}`);
    }
  }
});

Deno.test("criticalKv() refuses what judges without attention, and itself", () => {
  assertThrows(
    () => criticalKv({ inner: knorm() }),
    OptionError,
    "Cannot wrap 'knorm' in 'critical_kv': it judges without attention",
  );
  assertThrows(
    () => criticalKv({ inner: criticalKv({ inner: tova() }) }),
    OptionError,
    "it spends its budget in two parts itself",
  );
  assertThrows(() => chunkKv({ inner: criticalKv() }), OptionError, "put 'chunk_kv' inside it");
  assert(criticalKv({ inner: chunkKv() }).secondStage);
});

Deno.test("criticalKv() refuses options out of range", () => {
  for (
    const [options, message] of [
      [{ first: 1.5 }, "'first' must be a number from 0 to 1, got 1.5"],
      [{ first: NaN }, "'first' must be a number from 0 to 1, got NaN"],
      [{ epsilon: -1 }, "'epsilon' must be a number of at least 0, got -1"],
      [{ epsilon: Infinity }, "'epsilon' must be a number of at least 0, got Infinity"],
    ] as const
  ) {
    assertThrows(() => Reflect.apply(criticalKv, undefined, [options]), OptionError, message);
  }
});
