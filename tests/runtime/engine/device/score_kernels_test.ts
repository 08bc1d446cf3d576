import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { createCacheKernels } from "../../../../kernels/device/cache_kernels.ts";
import type { Device, DeviceTensor } from "../../../../kernels/device/device.ts";
import { createRowKernels } from "../../../../kernels/device/row_kernels.ts";
import type { LayerView, Policy, ScorerPolicy } from "../../../../policies/policy.ts";
import { adaKv } from "../../../../policies/ada_kv.ts";
import { chunkKv } from "../../../../policies/chunk_kv.ts";
import { criticalKv } from "../../../../policies/critical_kv.ts";
import { expectedAttention } from "../../../../policies/expected_attention.ts";
import { graphKv } from "../../../../policies/graphkv.ts";
import { h2o } from "../../../../policies/h2o.ts";
import { judgeQ } from "../../../../policies/judge_q.ts";
import { keyDiff } from "../../../../policies/keydiff.ts";
import { lagKv } from "../../../../policies/lagkv.ts";
import { qFilters } from "../../../../policies/q_filters.ts";
import { snapKv } from "../../../../policies/snapkv.ts";
import { triAttention } from "../../../../policies/tri_attention.ts";
import { createScoreKernels } from "../../../../runtime/engine/device/score_kernels.ts";
import { deviceScorer } from "../../../../runtime/engine/device/device_scorer.ts";
import { selectKept } from "../../../../runtime/evict/contract.ts";
import {
  type LayerScorer,
  scorable,
  scorerOf as findScorer,
} from "../../../../runtime/evict/layer_scorer.ts";
import { keepPinned } from "../../../../runtime/evict/keep_pinned.ts";
import { partOfLayer } from "../../../../runtime/evict/part.ts";
import { assertClose, noise } from "../../../_close.ts";
import { fakeLayer } from "../../../_fake_layer.ts";
import { testDevice, testProvider } from "../../../_device.ts";
import { smallPolicies } from "../../../_small_policies.ts";
import { tinyModel } from "../../../_test_model.ts";

/** A layer with random numbers in main memory, and the same in slots of a device. */
interface TwinLayer extends AsyncDisposable {
  readonly here: LayerView;
  readonly there: LayerView;
}

interface Shape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly length: number;
}

/** Spare slots hold what would spoil every score that read them. */
const GARBAGE = NaN;

async function twinLayer(device: Device, shape: Shape): Promise<TwinLayer> {
  const { heads, kvHeads, headDim, length } = shape;
  await using opening = new AsyncDisposableStack();
  const cacheKernels = opening.use(createCacheKernels(device, "float32"));
  const rowKernels = opening.use(createRowKernels(device));
  const kernels = opening.use(createScoreKernels(device, "float32"));
  const capacity = length + 3;
  const slots = (numbers: Float32Array, rows: number, width: number): Float32Array => {
    const spread = new Float32Array(rows * capacity * width).fill(GARBAGE);
    for (let row = 0; row < rows; row++) {
      const ofRow = numbers.subarray(row * length * width, (row + 1) * length * width);
      spread.set(ofRow, row * capacity * width);
    }
    return spread;
  };
  const entries = async (headMajor: Float32Array): Promise<DeviceTensor> =>
    opening.use(
      await cacheKernels.written(slots(headMajor, kvHeads, headDim), [kvHeads, capacity, headDim]),
    );
  const rows = async (numbers: Float32Array, count: number): Promise<DeviceTensor> =>
    opening.use(await rowKernels.written(slots(numbers, count, 1), count));
  const tokenMajor = (headMajor: Float32Array): Float32Array => {
    const turned = new Float32Array(headMajor.length);
    for (let head = 0; head < kvHeads; head++) {
      for (let token = 0; token < length; token++) {
        const from = (head * length + token) * headDim;
        turned.set(headMajor.subarray(from, from + headDim), (token * kvHeads + head) * headDim);
      }
    }
    return turned;
  };
  const positive = (count: number, seed: number) => noise(count, seed).map((value) => value ** 2);
  const [keys, values] = [
    noise(kvHeads * length * headDim, 1),
    noise(kvHeads * length * headDim, 2),
  ];
  // A key without length, where there is one to spare.
  if (length > 4) keys.fill(0, 2 * headDim, 3 * headDim);
  const attention = positive(heads * length, 3);
  const mean = noise(heads * length, 4);
  const variance = positive(heads * length, 5);
  const draft = positive(heads * length, 6);
  const known = {
    ...{ layer: 1, layers: 3, heads, kvHeads, firstHead: 0, headDim, length },
    positions: Int32Array.from({ length: kvHeads * length }, (_, index) => 2 * (index % length)),
  };
  const here = fakeLayer({
    ...known,
    keys: tokenMajor(keys),
    values: tokenMajor(values),
    attention,
    draft,
    expected: { mean, variance },
  });
  const norms = await here.outputNorms();
  const tensors = {
    keys: await entries(keys),
    values: await entries(values),
    attention: await rows(attention, heads),
    draft: await rows(draft, heads),
    mean: await rows(mean, heads),
    variance: await rows(variance, heads),
  };
  const scorer = deviceScorer(kernels, known, {
    firstHead: 0,
    keys: () => tensors.keys,
    values: () => tensors.values,
    attention: () => tensors.attention,
    draft: () => tensors.draft,
    mean: () => tensors.mean,
    variance: () => tensors.variance,
    norms: () => rowKernels.written(slots(norms, kvHeads, 1), kvHeads),
  });
  const opened = opening.move();
  return {
    here,
    there: scorable(here, scorer),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

const VARIANTS: readonly ScorerPolicy[] = [
  snapKv({ window: 3, kernel: 5, pooling: "avg" }),
  snapKv({ window: 40, kernel: 7 }),
  h2o({ normalize: "visible", recent: 0 }),
  lagKv({ sinks: 0, lag: 7 }),
  lagKv(),
  expectedAttention({ covariance: false, valueNorm: false, sinks: 1 }),
  expectedAttention({ sinks: 40 }),
  graphKv({ inner: keyDiff(), rounds: 3, sources: 4, neighbours: 5 }),
  graphKv({ inner: snapKv({ window: 2 }), rounds: 9, sources: 8 }),
  chunkKv({ inner: snapKv({ window: 2, kernel: 3 }), chunk: 5 }),
  chunkKv({ inner: expectedAttention({ sinks: 0 }), chunk: 64 }),
  judgeQ({ draft: 0, group: "mean", share: "head", kernel: 3 }),
  judgeQ({ draft: 3, share: "head", pooling: "max", window: 0 }),
  judgeQ({ draft: 3, share: "head", reach: 0 }),
  judgeQ({ draft: 3, group: "mean", window: 2 }),
  judgeQ({ draft: 3, reach: 0, pooling: "max", window: 0 }),
  judgeQ({ draft: 0, window: 40 }),
  criticalKv({ inner: chunkKv({ inner: h2o({ recent: 1 }), chunk: 3 }), first: 0.3 }),
];

/** Shaders are compiled anew for each kind of shape: a software device gets fewer. */
const SHAPES: readonly Shape[] = testProvider() === "webgpu"
  ? [{ heads: 6, kvHeads: 2, headDim: 8, length: 33 }]
  : [1, 3, 5, 31, 32, 33, 70, 300].flatMap((length) => [
    { heads: 6, kvHeads: 2, headDim: 8, length },
    { heads: 2, kvHeads: 1, headDim: 6, length },
    { heads: 3, kvHeads: 3, headDim: 4, length },
  ]);

const scorers = (await smallPolicies()).flatMap(({ name, policy }) =>
  "score" in policy ? [{ name, policy }] : []
);

Deno.test("every built-in policy that scores has a kernel, and a second stage has one too", () => {
  for (const { name, policy: { score, secondStage } } of scorers) {
    assert(score.kernel, `${name} has no kernel`);
    assert(!secondStage || secondStage.rescore.kernel, `${name} has no kernel to score anew`);
  }
});

const all = [
  ...scorers,
  ...VARIANTS.map((policy) => ({
    name: `${policy.name} ${JSON.stringify(policy.options)}`,
    policy,
  })),
];

for (const { name, policy } of all) {
  Deno.test(`the kernel of ${name} gives its scores, and the tokens that it keeps`, async () => {
    await using device = testDevice();
    for (const shape of SHAPES) {
      await using twin = await twinLayer(device, shape);
      const scorer = scorerOf(twin.there);
      const where = `${name} of ${JSON.stringify(shape)}`;
      const expected = await policy.score(twin.here);
      assert(policy.score.kernel);
      assertClose(await scorer.scores(policy.score.kernel), expected, {
        absolute: 1e-5,
        relative: 1e-4,
      }, where);
      const { length, kvHeads } = shape;
      for (const keep of new Set([1, Math.ceil(length / 3), length - 1])) {
        if (keep < 1 || keep >= length) continue;
        const kept = await keptBy(policy, twin.here, keep);
        assertEquals(await keptBy(policy, twin.there, keep), kept, `${where}, ${keep} kept`);
        const certain = Array.from(
          { length: kvHeads },
          (_, head) => Int32Array.of((head + 1) % length),
        );
        const sure = (view: LayerView) => keptBy(keepPinned(policy, [view], certain), view, keep);
        assertEquals(
          await sure(twin.there),
          await sure(twin.here),
          `${where}, ${keep}, one certain`,
        );
      }
    }
  });
}

Deno.test("a kernel is shown some tokens as if they were all", async () => {
  await using device = testDevice();
  const shape = { heads: 6, kvHeads: 2, headDim: 8, length: 33 };
  await using twin = await twinLayer(device, shape);
  const kept = [Int32Array.of(1, 4, 5, 9, 20, 21, 30), Int32Array.of(0, 2, 3, 8, 10, 22, 32)];
  for (const policy of [keyDiff(), snapKv({ window: 2, kernel: 3 }), h2o({ recent: 1 })]) {
    const [here, there] = [partOfLayer(twin.here, kept), partOfLayer(twin.there, kept)];
    assertEquals(await keptBy(policy, there, 4), await keptBy(policy, here, 4));
    // A part of a part, of one head.
    const less = [Int32Array.of(0, 2, 3, 6)];
    const [a, b] = [partOfLayer(here, less, 1), partOfLayer(there, less, 1)];
    assertEquals(a.firstHead, 1);
    assertEquals(await keptBy(policy, b, 3), await keptBy(policy, a, 3));
  }
});

Deno.test("kernels that judge by a file made for a model find their heads in it, also where some are shown", async () => {
  await using device = testDevice();
  const [layers, kvHeads, headDim, heads, length] = [3, 2, 8, 6, 33];
  await using twin = await twinLayer(device, { heads, kvHeads, headDim, length });
  const tensor = (rows: number, width: number, seed: number) => ({
    shape: [layers, rows, width],
    data: noise(layers * rows * width, seed),
  });
  const filters = { kind: "q_filters", tensors: { filters: tensor(kvHeads, headDim, 21) } };
  const centres = {
    kind: "tri_attention",
    tensors: {
      means: tensor(heads, headDim, 22),
      lengths: tensor(heads, headDim / 2, 23),
      frequencies: tensor(1, headDim / 2, 24),
    },
  };
  const { facts } = await madeFor();
  for (const policy of [qFilters({ filters }), triAttention({ centres })]) {
    const fitted = await policy.forModel?.(facts);
    assert(fitted?.score.kernel);
    const tokens = [Int32Array.of(0, 2, 3, 6, 9, 30)];
    const second = partOfLayer(twin.here, tokens, 1);
    for (
      const [here, there] of [
        [twin.here, twin.there],
        [second, partOfLayer(twin.there, tokens, 1)],
      ] as const
    ) {
      const found = await scorerOf(there).scores(fitted.score.kernel);
      const close = { absolute: 1e-4, relative: 1e-4 };
      assertClose(found, await fitted.score(here), close, policy.name);
    }
    // The other head's rows would give other scores.
    const first = partOfLayer(twin.here, tokens, 0);
    assertNotEquals(await fitted.score(first), await fitted.score(second));
  }
});

async function madeFor() {
  await using test = await tinyModel("tiny-llama");
  return { facts: await test.model.facts() };
}

Deno.test("heads that divide their budget are scored by the kernel as well", async () => {
  await using device = testDevice();
  await using twin = await twinLayer(device, { heads: 6, kvHeads: 2, headDim: 8, length: 33 });
  const policy = adaKv({ inner: keyDiff(), alpha: 0.1 });
  assertEquals(await keptBy(policy, twin.there, 9), await keptBy(policy, twin.here, 9));
});

async function keptBy(policy: Policy, view: LayerView, keep: number) {
  try {
    return await selectKept(policy, view, keep);
  } catch (error) {
    // A budget below what a policy protects is refused alike.
    return String(error);
  }
}

function scorerOf(view: LayerView): LayerScorer {
  const scorer = findScorer(view);
  assert(scorer);
  return scorer;
}
