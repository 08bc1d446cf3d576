import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import type { Projection } from "../../../kernels/adapters.ts";
import { lookaheadKv } from "../../../policies/lookahead_kv.ts";
import type { SoftAdapters, SoftTokens } from "../../../policies/policy.ts";
import { openCheckpoint } from "../../../runtime/checkpoint/open.ts";
import { CheckpointError, KvjudgeError } from "../../../runtime/errors.ts";
import type { Model } from "../../../runtime/model.ts";
import { adapterShape } from "../../../runtime/soft_tokens/adapters.ts";
import { assertClose, largestDifference, noise } from "../../_close.ts";
import { probePolicy } from "../../_probe_policy.ts";
import { mergeAdapters, randomAdapters } from "../../_random_adapters.ts";
import { type RandomModel, writeFolder } from "../../_random_checkpoint.ts";
import { type ReferenceCache, referenceModel } from "../../_reference_model.ts";
import { newSequence, randomIds, randomTestModel } from "../../_test_model.ts";

const SOFT = 5;
const IDS = randomIds(40, 80);

function softTokens({ hidden }: Model["config"], adapters?: SoftAdapters): SoftTokens {
  const embeddings = noise(SOFT * hidden, 3);
  return { count: SOFT, hidden, embeddings, trained: true, ...(adapters ? { adapters } : {}) };
}

/** Attention to the prompt that a policy is shown, `[layers, heads, tokens]`. */
async function gather(model: Model, adapters?: SoftAdapters): Promise<number[]> {
  const tokens = softTokens(model.config, adapters);
  const policy = probePolicy({ kind: "soft", tokens: () => tokens });
  await using session = model.session({ policy, budget: 8, chunk: 16 });
  await session.read({ ids: IDS });
  return policy.attention.flatMap((layer) => [...layer]);
}

/** The same from a checkpoint with the adapters merged, reading the soft tokens alone. */
async function gatherMerged(
  spec: RandomModel,
  adapters: SoftAdapters,
  cache: ReferenceCache,
): Promise<number[]> {
  const folder = await Deno.makeTempDir();
  try {
    await writeFolder(folder, spec, { edit: (weights) => mergeAdapters(weights, adapters) });
    const reference = referenceModel(await openCheckpoint(folder));
    const { embeddings } = softTokens(reference.config);
    const { layers } = reference.run(embeddings, { cache });
    const total = IDS.length + SOFT;
    return layers.flatMap(({ attention }) =>
      Array.from({ length: reference.config.heads * IDS.length }, (_, index) => {
        const head = Math.floor(index / IDS.length);
        let sum = 0;
        for (let query = 0; query < SOFT; query++) {
          sum += attention[(head * SOFT + query) * total + index % IDS.length] ?? NaN;
        }
        return sum / SOFT;
      })
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const CASES: readonly [RandomModel, rank: number, projections?: readonly Projection[]][] = [
  [{ family: "llama" }, 3],
  [{ family: "llama", attentionBias: true, mlpBias: true, tied: true }, 1],
  [{ family: "qwen2", kvHeads: 1 }, 2, ["q", "v"]],
  [{ family: "qwen3", headDim: 12 }, 4],
  [{ family: "mistral" }, 2, ["o", "down"]],
];

for (const [spec, rank, projections] of CASES) {
  const what = `${spec.family} with rank ${rank} on ${projections?.join(", ") ?? "everything"}`;
  Deno.test(`engine.probe() runs adapters as if merged into the weights: ${what}`, async () => {
    await using test = await randomTestModel(spec);
    const { model, reference } = test;
    const adapters = randomAdapters(model.config, {
      rank,
      ...(projections ? { projections } : {}),
    });
    const { cache } = reference.run(IDS);
    const expected = await gatherMerged(spec, adapters, cache);
    const plain = await gather(model);
    const adapted = await gather(model, adapters);
    assertClose(adapted, expected, { absolute: 1e-5 });
    assert(largestDifference(plain, expected) > 1e-3, "the adapters change nothing");
    assertEquals(await gather(model), plain);
  });
}

for (const precision of ["fp32", "int8", "int4"] as const) {
  Deno.test(`engine.probe() gives the same with adapters that add zero, in ${precision}`, async () => {
    const options = {
      precision,
      ...(precision === "int4" ? { gguf: { type: "Q4_1" } as const } : {}),
    };
    await using test = await randomTestModel({ hidden: 64, intermediate: 128 }, options);
    const { model } = test;
    const nothing = randomAdapters(model.config, { rank: 2, reach: 0 });
    const [actual, expected] = [await gather(model, nothing), await gather(model)];
    // With adapters a probe is exact; without, its products are rounded to bytes.
    if (precision === "fp32") assertEquals(actual, expected);
    else assertClose(actual, expected, { absolute: 0.02 });
  });
}

Deno.test("engine.probe() with adapters leaves the cache and what follows bit-equal", async () => {
  await using test = await randomTestModel({});
  const { engine, config } = test.model;
  const adapters = randomAdapters(config, { rank: 2 });
  const { embeddings } = softTokens(config);
  const run = async (probed: boolean) => {
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    const prompt = await engine.advance(sequence, { ids: IDS });
    const logits = [prompt.logits.slice()];
    if (probed) await engine.probe(sequence, { embeddings, adapters, observe: true });
    const layers = Array.from({ length: config.layers }, (_, layer) => [
      cache.keys(layer).slice(),
      cache.values(layer).slice(),
      cache.positions(layer),
    ]);
    for (const id of [5, 6, 7]) {
      logits.push((await engine.advance(sequence, { ids: [id] })).logits.slice());
    }
    return { layers, logits, position: sequence.position };
  };
  assertEquals(await run(true), await run(false));
});

Deno.test("lookaheadKv() evicts by its adapters, in sessions side by side, and decodes on", async () => {
  await using test = await randomTestModel({ eosIds: [] });
  const { model } = test;
  const answer = async (adapters: SoftAdapters) => {
    const policy = lookaheadKv({ softTokens: softTokens(model.config, adapters), window: 2 });
    await using session = model.session({ policy, budget: 8 });
    const generation = session.generate({ ids: IDS }, { maxTokens: 4 });
    for await (const _ of generation);
    const { kept } = await session.read({ ids: IDS });
    const { logits } = await session.read({ ids: IDS });
    return { ids: generation.ids, kept, logits };
  };
  const strong = randomAdapters(model.config, { rank: 2, reach: 1 });
  const nothing = randomAdapters(model.config, { rank: 2, reach: 0 });
  const [one, two, other] = await Promise.all([answer(strong), answer(strong), answer(nothing)]);
  assertEquals(one, two);
  assertEquals(one.ids.length, 4);
  assertNotEquals(one.kept, other.kept);
  assertEquals(one.logits, other.logits);
});

Deno.test("engine.probe() with adapters ends with the model", async () => {
  const test = await randomTestModel({});
  const { engine, config } = test.model;
  const adapters = randomAdapters(config, { rank: 2 });
  const sequence = newSequence(engine);
  using _cache = sequence.cache;
  await engine.probe(sequence, { ids: IDS, adapters });
  await test[Symbol.asyncDispose]();
  await assertRejects(
    () => engine.probe(sequence, { ids: IDS, adapters }),
    KvjudgeError,
    "it is closed",
  );
});

Deno.test("adapterShape() names the tensor that does not fit, what it must be and what it is", async () => {
  await using test = await randomTestModel({});
  const { config } = test.model;
  const { rank, tensors } = randomAdapters(config, { rank: 2, projections: ["q", "down"] });
  assertEquals(adapterShape({ rank, tensors }, config), { rank, projections: ["q", "down"] });
  const { "adapter.1.q.b": _missing, ...incomplete } = tensors;
  const infinite = tensors["adapter.1.down.a"]?.with(3, Infinity) ?? new Float32Array(0);
  for (
    const [given, message] of [
      [{ rank: 1.5, tensors }, "of rank 1.5: the rank must be an integer of at least 1"],
      [{ rank, tensors: {} }, "without tensors"],
      [{ rank, tensors: incomplete }, 'their tensor "adapter.1.q.b" is missing'],
      [
        { rank, tensors: { ...tensors, "adapter.2.q.a": new Float32Array(64) } },
        'a tensor "adapter.2.q.a": the model has 2 layers',
      ],
      [
        { rank, tensors: { ...tensors, "adapter.0.q.a": new Float32Array(48) } },
        'tensor "adapter.0.q.a" must be [32, 2], it is [24, 2]',
      ],
      [
        { rank, tensors: { ...tensors, "adapter.0.down.b": new Float32Array(128) } },
        'tensor "adapter.0.down.b" must be [2, 32], it is [2, 64]',
      ],
      [
        { rank, tensors: { ...tensors, "adapter.1.down.a": infinite } },
        'some numbers of their tensor "adapter.1.down.a" are not finite',
      ],
      [
        { rank, tensors: { ...tensors, "adapter.0.qkv.a": new Float32Array(64) } },
        'a tensor named "adapter.0.qkv.a" is no adapter',
      ],
    ] as const
  ) {
    assertThrows(() => adapterShape(given, config), CheckpointError, message);
  }
});
