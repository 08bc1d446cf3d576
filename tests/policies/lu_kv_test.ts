import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { adaKv } from "../../policies/ada_kv.ts";
import { knorm } from "../../policies/knorm.ts";
import { luKv } from "../../policies/lu_kv.ts";
import { UNPROTECTED } from "../../policies/_measured_shares.ts";
import { type ModelFile, OptionError } from "../../policies/policy.ts";
import { pyramid } from "../../policies/pyramid.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { randomIds, tinyModel } from "../_test_model.ts";
import { fakeFacts } from "./_fake_tokens.ts";
import {
  assertKeepsLikeGolden,
  goldenTensor,
  HEADS_MODELS,
  SLIDING_HEADS_MODELS,
} from "./_heads_goldens.ts";

/** Head `h` of `heads` drops by these shares where half is dropped, as much of it as is dropped of that else. */
function fileOf(atHalf: readonly number[], card = {}): ModelFile {
  const heads = atHalf.length;
  const data = Float32Array.from({ length: 99 * heads }, (_, at) => {
    const percent = Math.floor(at / heads) + 1;
    const share = atHalf[at % heads] ?? 0;
    return percent <= 50 ? share * percent / 50 : share + (1 - share) * (percent - 50) / 50;
  });
  return { kind: "lu_kv", tensors: { dropped: { shape: [99, 1, heads], data } }, card };
}

async function allocatorOf(curves: ModelFile | undefined) {
  const fitted = await luKv({ ...(curves ? { curves } : {}) }).forModel?.(fakeFacts());
  assert(fitted?.allocateHeads && fitted.acrossLayers);
  return { allocate: fitted.allocateHeads, note: fitted.note };
}

Deno.test("lu_kv gives each head what was measured, by hand", async () => {
  const { allocate, note } = await allocatorOf(fileOf([0.2, 0.8]));
  const scores = [new Float32Array(100), new Float32Array(100)];
  assertEquals(note, undefined);
  assertEquals(await allocate({ scores, keep: 50 }), [80, 20]);
  // A quarter dropped: half as much as where half is dropped.
  assertEquals(await allocate({ scores, keep: 75 }), [90, 60]);
  // Between 25 and 26 %, in the middle: 10.2 and 40.8 of 100 are dropped.
  assertEquals(await allocate({ scores, keep: 74.5 }), [90, 59]);
  assertEquals(await allocate({ scores, keep: 100 }), [100, 100]);
});

Deno.test("lu_kv keeps what is protected in every head, and one token at least", async () => {
  const { allocate } = await allocatorOf(fileOf([0, 1]));
  const scores = [new Float32Array(20), new Float32Array(20)];
  assertEquals(await allocate({ scores, keep: 10 }), [19, 1]);
  const marked = scores.map((ofHead) => ofHead.slice().fill(Infinity, 16));
  assertEquals(await allocate({ scores: marked, keep: 10 }), [16, 4]);
});

Deno.test("lu_kv gives out what is protected first, where shares were measured without it", async () => {
  const { allocate } = await allocatorOf(fileOf([0.2, 0.8], { shares: UNPROTECTED }));
  const scores = [new Float32Array(100), new Float32Array(100)];
  assertEquals(await allocate({ scores, keep: 50 }), [80, 20]);
  // 32 of each stay; of the 68 others half are dropped in all: 13.6 and 54.4.
  const marked = scores.map((ofHead) => ofHead.slice().fill(Infinity, 68));
  assertEquals(await allocate({ scores: marked, keep: 66 }), [86, 46]);
  // Shares of the whole would give the second head less than its window, and the first what it lost.
  const { allocate: ofWhole } = await allocatorOf(fileOf([0.2, 0.8]));
  assertEquals(await ofWhole({ scores: marked, keep: 40 }), [48, 32]);
  assertEquals(await allocate({ scores: marked, keep: 40 }), [45, 35]);
  assertEquals(await allocate({ scores: marked, keep: 32 }), [32, 32]);
  assertEquals(await allocate({ scores: marked, keep: 100 }), [100, 100]);
});

Deno.test("lu_kv without a file gives each head the same, and says so", async () => {
  const { allocate, note } = await allocatorOf(undefined);
  const scores = [new Float32Array(20), new Float32Array(20)];
  assertEquals(await allocate({ scores, keep: 7 }), [7, 7]);
  assertEquals(
    note,
    "no file ships for this model, so each KV head gets the same; make one with `kvjudge train lu-kv`",
  );
});

Deno.test("lu_kv says where its budgets were measured with another policy", async () => {
  const { note } = await allocatorOf(fileOf([0.5, 0.5], { inner: "tova" }));
  assertEquals(
    note,
    "the budgets of its heads were measured with tova, not with snapkv(window=32,kernel=7,pooling=max)",
  );
});

Deno.test("lu_kv refuses what divides budgets itself, and files that do not fit", async () => {
  assertThrows(() => luKv({ inner: adaKv() }), OptionError, "among the heads itself");
  assertThrows(() => luKv({ inner: pyramid() }), OptionError, "among the layers itself");
  const { allocate } = await allocatorOf(fileOf([0.5, 0.5]));
  const scores = Array.from({ length: 3 }, () => new Float32Array(20));
  assertThrows(
    () => allocate({ scores, keep: 10 }),
    OptionError,
    "1 × 2 KV heads, and the model evicts from 3",
  );
  const empty = { kind: "lu_kv", tensors: {} };
  await assertRejects(
    () => allocatorOf(empty),
    OptionError,
    "must be [99, layers, KV heads], it is absent",
  );
  await assertRejects(
    () => allocatorOf({ ...empty, fingerprint: "no" }),
    OptionError,
    "fingerprint no",
  );
});

Deno.test("lu_kv evicts to the budget, and layers and heads hold what was measured", async () => {
  await using test = await tinyModel("tiny-llama");
  const { kvHeads, layers } = test.model.engine.config;
  const atHalf = Array.from(
    { length: layers * kvHeads },
    (_, head) => head % 2 === 0 ? 0.25 : 0.75,
  );
  const curves = { ...fileOf(atHalf), ...await test.model.facts() };
  const { fingerprint, identity, kind, tensors } = curves;
  await using session = test.model.session({
    policy: luKv({ inner: knorm(), curves: { kind, tensors, fingerprint, identity } }),
    budget: 20,
  });
  const { kept } = await session.read({ ids: randomIds(40, 320) });
  assertEquals(
    kept.flat().map(({ length }) => length),
    atHalf.map((dropped) => 40 * (1 - dropped)),
  );
});

for (const name of [...HEADS_MODELS, ...SLIDING_HEADS_MODELS]) {
  Deno.test(`lu_kv keeps what kvpress keeps with the same curves, and decodes as it does: ${name}`, async () => {
    const curves = { kind: "lu_kv", tensors: { dropped: goldenTensor(name, "lu_kv.dropped") } };
    // SnapKV of kvpress scales queries by their width, this model by another number.
    const inner = name === "tiny-gemma3-odd"
      ? knorm()
      : snapKv({ window: 8, kernel: 5, pooling: "avg" });
    const policy = luKv({ inner, curves });
    const budgets = {
      many: (tokens: number) => tokens * 3 / 4,
      few: (tokens: number) => tokens / 4,
    };
    for (const [which, budget] of Object.entries(budgets)) {
      await assertKeepsLikeGolden(name, `lu_kv.${which}`, policy, budget);
    }
  });
}
