import { assertAlmostEquals, assertEquals } from "@std/assert";
import type { Evidence, ScorerPolicy } from "../../../policies/policy.ts";
import type { ModelConfig } from "../../../runtime/checkpoint/checkpoint.ts";
import { createSession } from "../../../runtime/session/open.ts";
import type { ReferenceOutput } from "../../_reference_model.ts";
import { randomIds, type TestModel, tinyModel } from "../../_test_model.ts";
import { wordTokenizer } from "../../_word_tokenizer.ts";

const IDS = randomIds(60, 320);
const EVERY = 8;
const TARGET = 24;
const STEPS = 30;

/** What a policy was shown of a layer, and the positions that it keeps, per KV head. */
interface Shown {
  readonly attention: Float32Array;
  readonly positions: Int32Array;
  readonly kept: readonly ReadonlySet<number>[];
}

/** A policy that keeps the same number of arbitrary tokens in every head, others in each. */
function arbitraryPolicy(evidence: Evidence, shown: Shown[]): ScorerPolicy {
  return {
    name: "arbitrary",
    evidence,
    phases: { decoding: { every: EVERY, target: TARGET } },
    async score({ layer, kvHeads, length, positions, attention }) {
      const scores = Float32Array.from(
        positions,
        (position, index) => Math.sin(position * (3.7 + layer) + Math.floor(index / length)),
      );
      const kept = Array.from({ length: kvHeads }, (_, head) => {
        const start = head * length;
        const order = Array.from({ length }, (_, index) => start + index)
          .toSorted((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
        return new Set(order.slice(0, TARGET).map((index) => positions[index] ?? -1));
      });
      shown.push({ attention: await attention(), positions, kept });
      return scores;
    },
  };
}

/** Attention summed over queries, by layer, query head and position. */
type Sums = Map<string, number>;

function add(
  sums: Sums,
  { layers }: Pick<ReferenceOutput, "layers">,
  { heads, headDim }: Pick<ModelConfig, "heads" | "headDim">,
) {
  for (const [layer, { attention, q }] of layers.entries()) {
    const queries = q.length / (heads * headDim);
    const columns = attention.length / (heads * queries);
    for (const [index, value] of attention.entries()) {
      const head = Math.floor(index / (queries * columns));
      const key = `${layer} ${head} ${index % columns}`;
      sums.set(key, (sums.get(key) ?? 0) + value);
    }
  }
}

interface Case {
  readonly name: string;
  readonly evidence: (test: TestModel) => Evidence;
  /** What an eviction must be shown, of the queries and the sums over them. */
  readonly expected: (given: {
    readonly all: Sums;
    readonly recent: readonly Sums[];
    readonly probe: (embeddings: Float32Array) => Sums;
    readonly evidence: Evidence;
  }) => Promise<{ readonly sums: readonly Sums[]; readonly queries: number }>;
}

const windowCase = (size: number, judges: number): Case => ({
  name: `the last ${judges} queries where ${size} are wanted`,
  evidence: () => ({ kind: "window", size }),
  expected: ({ recent }) => Promise.resolve({ sums: recent.slice(-judges), queries: judges }),
});

const CASES: readonly Case[] = [
  windowCase(5, 5),
  windowCase(100, EVERY),
  {
    name: "all queries since a token was read, carried over evictions, where it is accumulated",
    evidence: () => ({ kind: "accumulated" }),
    expected: ({ all }) => Promise.resolve({ sums: [all], queries: 1 }),
  },
  {
    name: "the queries of soft tokens that probe anew",
    evidence: ({ model: { config: { hidden } } }) => {
      const embeddings = Float32Array.from(
        { length: 4 * hidden },
        (_, index) => Math.sin(index * 1.3) / 8,
      );
      return {
        kind: "soft",
        tokens: () => ({ count: 4, hidden, embeddings, trained: true }),
      };
    },
    expected: async ({ probe, evidence }) => {
      if (evidence.kind !== "soft") throw new Error("no soft tokens");
      const { embeddings, count } = await evidence.tokens({} as never);
      return { sums: [probe(embeddings)], queries: count };
    },
  },
];

for (const { name, evidence: make, expected } of CASES) {
  Deno.test(`evictionDue() while decoding shows ${name}`, async () => {
    await using test = await tinyModel("tiny-llama31");
    const { model, reference } = test;
    const { layers, heads, kvHeads, vocabulary } = model.config;
    const shown: Shown[] = [];
    const evidence = make(test);
    const engine = { ...model.engine, config: { ...model.config, eosIds: [] } };
    const tokenizer = wordTokenizer(vocabulary);
    const { facts } = model;
    await using session = createSession({ engine, tokenizer, facts, now: () => 0 }, {
      policy: arbitraryPolicy(evidence, shown),
      budget: TARGET,
      chunk: 17,
    });
    const answer = session.generate({ ids: IDS }, { maxTokens: STEPS });
    for await (const _ of answer);
    const evictions = Math.floor((STEPS - 1) / EVERY);
    assertEquals(session.stats().decodeEvictions, evictions);
    assertEquals(shown.length, layers * (1 + evictions));

    const all: Sums = new Map();
    const read = reference.run(IDS);
    add(all, read, model.config);
    let { cache } = read;
    let held = shown.slice(0, layers);
    let end = IDS.length;
    let recent: Sums[] = [];
    const visible = (layer: number, head: number, index: number) =>
      index >= end || held[layer]?.kept[head]?.has(index) === true;
    for (const [index, id] of answer.ids.slice(0, STEPS - 1).entries()) {
      const step = reference.run([id], { cache, visible });
      ({ cache } = step);
      const sums: Sums = new Map();
      add(all, step, model.config);
      add(sums, step, model.config);
      recent.push(sums);
      if ((index + 1) % EVERY !== 0) continue;
      const probe = (embeddings: Float32Array) => {
        const probed: Sums = new Map();
        add(probed, reference.run(embeddings, { cache, visible }), model.config);
        return probed;
      };
      const { sums: judges, queries } = await expected({ all, recent, probe, evidence });
      const at = layers * (index + 1) / EVERY;
      const now = shown.slice(layers + at - layers, layers + at);
      for (const [layer, { attention, positions }] of now.entries()) {
        const length = positions.length / kvHeads;
        assertEquals(length, TARGET + EVERY);
        for (let head = 0; head < heads; head++) {
          const start = Math.floor(head * kvHeads / heads) * length;
          for (let token = 0; token < length; token++) {
            const key = `${layer} ${head} ${positions[start + token]}`;
            const sum = judges.reduce((total, one) => total + (one.get(key) ?? 0), 0);
            assertAlmostEquals(attention[head * length + token] ?? NaN, sum / queries, 1e-4, key);
          }
        }
      }
      held = now;
      end = cache.length;
      recent = [];
    }
  });
}
