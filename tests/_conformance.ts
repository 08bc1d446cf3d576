import { assert, assertEquals, assertRejects } from "@std/assert";
import { type LayerView, type MaybePromise, OptionError, type Policy } from "../policies/policy.ts";
import { evictLayer } from "../runtime/evict/evict_layer.ts";
import { keepPerLayer } from "../runtime/evict/keep_per_layer.ts";
import { noiseLayer } from "./_fake_layer.ts";

/** What {@linkcode testPolicy} tests. */
export interface Conformance {
  readonly name: string;
  readonly create: (options?: object) => MaybePromise<Policy>;
  /** Checks that do not apply, by title, each with the reason. */
  readonly skip?: Readonly<Record<string, string>>;
}

const LENGTH = 96;
const LAYERS = 3;

/** Head counts of MHA, GQA with odd sizes, and MQA. */
const SHAPES = [
  { heads: 4, kvHeads: 4, headDim: 8 },
  { heads: 9, kvHeads: 3, headDim: 6 },
  { heads: 4, kvHeads: 1, headDim: 12 },
];

/** Checks that hold for every policy, one test each. */
const CHECKS: Readonly<Record<string, (policy: Conformance) => Promise<void>>> = {
  async "describes itself"({ name, create }) {
    const policy = await create();
    assertEquals(policy.name, name);
    assert(Object.isFrozen(policy));
    assert(Object.isFrozen(policy.options));
  },

  async "scores every token with a finite number"({ create }) {
    const policy = await create();
    for (const layer of layers()) {
      if (!("score" in policy)) continue;
      const scores = await policy.score(layer);
      assertEquals(scores.length, layer.kvHeads * layer.length);
      assert(scores.every(Number.isFinite));
    }
  },

  async "gives the same answer twice"({ create }) {
    for (const keep of budgets()) {
      for (const [index, layer] of layers().entries()) {
        const again = layers()[index] ?? layer;
        assertEquals(
          await evictLayer(await create(), layer, keep),
          await evictLayer(await create(), again, keep),
        );
      }
    }
  },

  async "keeps exactly the budget, each token once and in order"({ create }) {
    const policy = await create();
    for (const keep of budgets()) {
      for (const layer of layers()) {
        const kept = await evictLayer(policy, layer, keep);
        assertEquals(kept.length, layer.kvHeads);
        for (const indices of kept) {
          assertEquals(indices, Int32Array.from(new Set(indices)).sort());
          assertEquals(indices.length, policy.evicts === false ? LENGTH : keep);
          assert(indices.every((index) => index >= 0 && index < LENGTH));
        }
      }
    }
  },

  async "keeps what it protects"({ create }) {
    const policy = await create();
    if (!("score" in policy)) return;
    for (const keep of budgets()) {
      const { protect = {} } = policy;
      const given = typeof protect === "function" ? await protect(keep, LENGTH) : protect;
      for (const layer of layers()) {
        for (const indices of await evictLayer(policy, layer, keep)) {
          for (let sink = 0; sink < (given.sinks ?? 0); sink++) assert(indices.includes(sink));
          for (let last = 1; last <= (given.recent ?? 0); last++) {
            assert(indices.includes(LENGTH - last));
          }
        }
      }
    }
  },

  async "leaves its input alone"({ create }) {
    const policy = await create();
    for (const [index, layer] of layers().entries()) {
      await evictLayer(policy, layer, LENGTH / 2);
      const fresh = layers()[index] ?? layer;
      assertEquals(layer.positions, fresh.positions);
      for (const read of ["keys", "values", "attention"] as const) {
        assertEquals(await layer[read](), await fresh[read]());
      }
    }
  },

  async "keeps everything within a full budget"({ create }) {
    const policy = await create();
    const all = Int32Array.from({ length: LENGTH }, (_, index) => index);
    for (const keep of [LENGTH, LENGTH + 1]) {
      for (const layer of layers()) {
        const kept = await evictLayer(policy, layer, keep);
        assertEquals(kept, Array.from({ length: layer.kvHeads }, () => all));
      }
    }
  },

  async "gives out the whole budget"({ create }) {
    const policy = await create();
    const shape = { layers: LAYERS, kvHeads: 2, headDim: 8 };
    for (const budget of budgets()) {
      const counts = await keepPerLayer(policy, { length: LENGTH, budget, shape });
      const total = counts.reduce((sum, count) => sum + count, 0);
      assertEquals(total, LAYERS * (policy.evicts === false ? LENGTH : budget));
    }
  },

  async "asks only for evidence that it declares"({ create }) {
    const policy = await create();
    if (policy.evidence.kind !== "none") return;
    const refuse = () => Promise.reject(new Error("asked for attention"));
    for (const layer of layers()) {
      await evictLayer(policy, { ...layer, attention: refuse, groupAttention: refuse }, LENGTH / 2);
    }
  },

  async "refuses unknown options and options of the wrong kind"({ create }) {
    await assertRejects(async () => await create({ nonsense: 1 }), OptionError, "'nonsense'");
    await assertRejects(async () => await create([]), OptionError, "must be an object");
  },
};

/** Registers the checks that hold for every policy. */
export function testPolicy(policy: Conformance): void {
  const { name, skip = {} } = policy;
  for (const title of Object.keys(skip)) {
    if (!Object.hasOwn(CHECKS, title)) throw new Error(`There is no check named "${title}"`);
  }
  for (const [title, check] of Object.entries(CHECKS)) {
    const reason = skip[title];
    Deno.test({
      name: `${name} ${title}${reason === undefined ? "" : ` (skipped: ${reason})`}`,
      ignore: reason !== undefined,
      fn: () => check(policy),
    });
  }
}

/** Budgets that leave room for every policy's default protection. */
function budgets(): readonly number[] {
  return [LENGTH / 2, LENGTH / 2 + 1, LENGTH - 1];
}

function layers(): readonly LayerView[] {
  return SHAPES.flatMap((shape, seed) =>
    [0, LAYERS - 1].map((layer) =>
      noiseLayer({ ...shape, layer, layers: LAYERS, length: LENGTH, seed: seed * LAYERS + layer })
    )
  );
}
