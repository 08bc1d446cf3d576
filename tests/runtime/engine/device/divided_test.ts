import { assert, assertEquals } from "@std/assert";
import type { Crossing } from "../../../../kernels/device/device.ts";
import { adaKv } from "../../../../policies/ada_kv.ts";
import { compose } from "../../../../policies/compose.ts";
import { criticalKv } from "../../../../policies/critical_kv.ts";
import { duoAttention } from "../../../../policies/duo_attention.ts";
import { judgeDocument } from "../../../../policies/judge_document.ts";
import { keyDiff } from "../../../../policies/keydiff.ts";
import { kvZip } from "../../../../policies/kvzip.ts";
import { kvZipPlus } from "../../../../policies/kvzip_plus.ts";
import { luKv } from "../../../../policies/lu_kv.ts";
import { sharedByBest } from "../../../../policies/_best_of_heads.ts";
import type { ScorerPolicy } from "../../../../policies/policy.ts";
import { snapKv } from "../../../../policies/snapkv.ts";
import { noise } from "../../../_close.ts";
import { testProvider } from "../../../_device.ts";
import { twinModel } from "../../../_device_model.ts";
import { randomIds } from "../../../_test_model.ts";

const MODEL = "tiny-llama31";
const BUDGET = 16;
const IDS = 60;
const MORE = 19;

await using shape = await twinModel(MODEL);
const { layers, kvHeads, vocabulary } = shape.host.model.config;

const inner = snapKv({ window: 4, kernel: 3 });

/** Drops what scores less, whatever there is room for. */
const picky: ScorerPolicy = {
  name: "picky",
  evidence: { kind: "none" },
  protect: { sinks: 1, recent: 2 },
  threshold: -0.02,
  score: keyDiff().score,
};

const dropped = {
  shape: [99, layers, kvHeads],
  data: Float32Array.from({ length: 99 * layers * kvHeads }, (_, at) => {
    const percent = 1 + Math.floor(at / (layers * kvHeads));
    const bend = at % 2 === 0 ? 0.8 : 1.2;
    return Math.min(1, bend * percent / 100);
  }),
};
const gates = {
  shape: [layers, kvHeads],
  data: noise(layers * kvHeads, 5).map((value) => value ** 2),
};

const POLICIES: readonly (readonly [string, ScorerPolicy])[] = [
  ["ada_kv", adaKv({ inner, alpha: 0.2 })],
  ["ada_kv, most of it safe", adaKv({ inner, alpha: 0.9 })],
  ["ada_kv around two stages", adaKv({ inner: criticalKv({ inner, first: 0.4 }), alpha: 0.3 })],
  ["judge_document, all layers", judgeDocument({ sinks: 2 })],
  ["judge_document, one layer", judgeDocument({ share: "layer", sinks: 2 })],
  ["kvzip, all layers, two parts", kvZip({ chunk: 32, sinks: 2 })],
  ["kvzip, one layer", kvZip({ layerwise: true, sinks: 2 })],
  ["kvzip_plus, two parts", kvZipPlus({ chunk: 32, sinks: 2 })],
  ["lu_kv", luKv({ inner, curves: { kind: "lu_kv", tensors: { dropped } } })],
  [
    "lu_kv around two stages",
    luKv({ inner: criticalKv({ inner }), curves: { kind: "lu_kv", tensors: { dropped } } }),
  ],
  [
    "duo_attention",
    duoAttention({ heads: { kind: "duo_attention", tensors: { gates } }, sinks: 1, recent: 4 }),
  ],
  [
    "duo_attention around snapkv",
    duoAttention({
      inner,
      heads: { kind: "duo_attention", tensors: { gates } },
      sinks: 1,
      recent: 4,
    }),
  ],
  ["a threshold", picky],
  ["a threshold in shared heads", { ...picky, allocateHeads: sharedByBest(() => 1) }],
  [
    "a threshold across layers",
    { ...picky, allocateHeads: sharedByBest(() => 3), acrossLayers: true },
  ],
  ["rounds", compose({ inner: snapKv({ window: 4 }), second: adaKv({ inner: keyDiff() }) })],
];

/** Shaders are compiled anew for each way of dividing: a software device gets one of each. */
const OF_EACH = /^(ada_kv around|kvzip, all|lu_kv$|a threshold across|rounds)/;
const divided = POLICIES.filter(([name]) => testProvider() !== "webgpu" || OF_EACH.test(name));

for (const [name, policy] of divided) {
  Deno.test(`${name}: heads are divided on a device as in main memory, and no score comes back`, async () => {
    await using twin = await twinModel(MODEL);
    const options = { policy, budget: BUDGET, chunk: 24 };
    await using here = twin.host.model.session(options);
    await using there = twin.session(options);
    const seen: Crossing[] = [];
    twin.there.device.onCrossing = (crossing) => seen.push(crossing);
    const ids = randomIds(IDS, vocabulary, 5);
    const [expected, found] = [await here.read({ ids }), await there.read({ ids })];
    assertEquals(found.kept, expected.kept);
    // Heads that hold different numbers of tokens are judged one by one.
    const more = randomIds(MORE, vocabulary, 6);
    const [next, nextFound] = [await here.append({ ids: more }), await there.append({ ids: more })];
    assertEquals(nextFound.kept, next.kept);
    const lengths = new Set(next.kept.flatMap((heads) => heads.map(({ length }) => length)));
    assert(lengths.size > 1, "heads keep different numbers");
    const back = new Set(
      seen.filter(({ direction }) => direction === "out").map((one) => `${one.kernel} ${one.name}`),
    );
    for (const one of back) assert(/ (logits|best|passing|told)$/.test(one), one);
  });
}

Deno.test("an allocator that says nothing about itself is shown scores, also on a device", async () => {
  await using twin = await twinModel(MODEL);
  const own = adaKv({ inner, alpha: 0.2 });
  const shared = own.allocateHeads;
  assert(shared);
  const policy: ScorerPolicy = { ...own, allocateHeads: (request) => shared(request) };
  const ids = randomIds(IDS, vocabulary, 5);
  await using here = twin.host.model.session({ policy, budget: BUDGET });
  await using there = twin.session({ policy, budget: BUDGET });
  const seen: Crossing[] = [];
  twin.there.device.onCrossing = (crossing) => seen.push(crossing);
  const [expected, found] = [await here.read({ ids }), await there.read({ ids })];
  assertEquals(found.kept, expected.kept);
  assert(seen.some(({ direction, name }) => direction === "out" && name === "scores"));
});
