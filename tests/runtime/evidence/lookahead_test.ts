import { assert, assertEquals } from "@std/assert";
import { lookaheadQCache } from "../../../policies/lookahead_q_cache.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import type { HostKvCache } from "../../../runtime/cache/kv_cache.ts";
import type { Sequence } from "../../../runtime/engine/sequence.ts";
import type { HostEngine } from "../../../runtime/engine/host/host_engine.ts";
import { gatherEvidence } from "../../../runtime/evidence/gather.ts";
import { observationFor } from "../../../runtime/evidence/observe.ts";
import { prefill } from "../../../runtime/engine/prefill.ts";
import { readPrompt } from "../../../runtime/evict/read.ts";
import { greedyToken } from "../../../runtime/sampling/greedy.ts";
import { assertClose } from "../../_close.ts";
import { referenceAttention } from "../../_reference_attention.ts";
import { newSequence, randomIds, TINY, tinyModel } from "../../_test_model.ts";

const STEPS = 5;
const BUDGET = 24;
const WINDOW = 6;

/** How the prompt and its slow draft are read. */
const READING = { budget: BUDGET, chunk: 64, now: () => 0 };

for (const name of TINY) {
  for (const plus of [false, true]) {
    Deno.test(`lookahead shows the draft's queries to the whole cache of ${name}${plus ? ", and the window's" : ""}`, async () => {
      await using tiny = await tinyModel(name);
      const { engine, config: { layers, heads, kvHeads, headDim } } = tiny.model;
      const ids = randomIds(70, engine.config.vocabulary, 11);
      const policy = lookaheadQCache({ steps: STEPS, window: WINDOW, kernel: 3, plus });
      const facts = await tiny.model.facts();
      const sequence = newSequence(engine);
      using cache = sequence.cache;
      const prefilled = await prefill(engine, sequence, ids, {
        chunk: 19,
        observe: observationFor(policy.evidence),
      });
      const before = snapshot(sequence, layers);
      const keep = new Array<number>(layers).fill(BUDGET);
      using scope = new DisposableStack();
      const request = { engine, sequence, facts, prefilled, text: ids, keep, scope };
      const { attention = [] } = await gatherEvidence(policy.evidence, request);
      assertEquals(snapshot(sequence, layers), before);

      const draft = await slowDraft(engine, ids);
      const queries = await promptQueries(engine, ids);
      for (let layer = 0; layer < layers; layer++) {
        const own = draft.map((step) => step.keys[layer] ?? []);
        const shape = { heads, kvHeads, headDim, reduce: "sum" } as const;
        const pseudo = referenceAttention({
          ...shape,
          queries: Float32Array.from(draft.flatMap((step) => [...step.queries[layer] ?? []])),
          keys: Float32Array.from([...cache.keys(layer), ...own.flatMap((row) => [...row])]),
          visible: ids.length + 1,
        });
        const window = referenceAttention({
          ...shape,
          queries: (queries[layer] ?? new Float32Array(0)).slice(-WINDOW * heads * headDim),
          keys: cache.keys(layer),
          visible: ids.length - WINDOW + 1,
        });
        const columns = pseudo.length / heads;
        const expected = Float32Array.from({ length: heads * ids.length }, (_, index) => {
          const [head, token] = [Math.floor(index / ids.length), index % ids.length];
          const sum = pseudo[head * columns + token] ?? NaN;
          return plus
            ? (sum + (window[index] ?? NaN)) / (draft.length + WINDOW)
            : sum / draft.length;
        });
        assertClose(
          await attention[layer]?.floats() ?? [],
          expected,
          { absolute: 1e-5 },
          `layer ${layer}`,
        );
      }
    });
  }
}

Deno.test("lookahead counts the queries of a draft that ends early", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const { engine } = tiny.model;
  const ids = randomIds(40, engine.config.vocabulary, 3);
  const [first = -1, second = -1] = (await slowDraft(engine, ids)).map(({ id }) => id);
  assert(first !== second, "the draft must not end at once");
  const ending: HostEngine = { ...engine, config: { ...engine.config, eosIds: [second] } };
  const read = async (by: HostEngine, steps: number) => {
    const sequence = newSequence(by);
    using _cache = sequence.cache;
    return await readPrompt({
      engine: by,
      sequence,
      ids,
      policy: lookaheadQCache({ steps, window: WINDOW, kernel: 3 }),
      facts: await tiny.model.facts(),
      scores: true,
      ...READING,
    });
  };
  const [ended, short] = [await read(ending, 50), await read(engine, 2)];
  assertEquals(ended.kept, short.kept);
  assertClose(ended.scores.flatMap((s) => [...s]), short.scores.flatMap((s) => [...s]), {
    absolute: 1e-6,
  });
});

/** The draft, read and evicted by the usual path, one step at a time. */
async function slowDraft(engine: HostEngine, ids: readonly number[]) {
  const sequence = newSequence(engine);
  using _cache = sequence.cache;
  let { logits } = await readPrompt({
    engine,
    sequence,
    ids,
    policy: snapKv({ window: WINDOW, kernel: 3 }),
    facts: {
      hidden: 0,
      layers: 0,
      fingerprint: "",
      identity: "",
      embeddingRms: 1,
      readSoftTokens,
      readModelFile: readSoftTokens,
    },
    scores: false,
    ...READING,
  });
  const steps: { id: number; queries: Float32Array[]; keys: Float32Array[] }[] = [];
  for (let step = 0; step < STEPS; step++) {
    const id = greedyToken(logits);
    const outputs = await engine.advance(sequence, { ids: [id], queries: true });
    steps.push({
      id,
      queries: outputs.queries.map(({ data }) => data.slice()),
      keys: outputs.entries.map(({ keys }) => keys.slice()),
    });
    logits = outputs.logits.slice();
  }
  return steps;
}

const readSoftTokens = () => Promise.reject(new Error("not asked for"));

/** Rotated queries of a whole prompt, per layer. */
async function promptQueries(engine: HostEngine, ids: readonly number[]): Promise<Float32Array[]> {
  const sequence = newSequence(engine);
  using _cache = sequence.cache;
  const { queries } = await engine.advance(sequence, { ids, queries: true });
  return queries.map(({ data }) => data.slice());
}

function snapshot({ cache, position }: Sequence<HostKvCache>, layers: number) {
  return {
    position,
    layers: Array.from({ length: layers }, (_, layer) => [
      [...cache.keys(layer)],
      [...cache.values(layer)],
      [...cache.positions(layer)],
    ]),
  };
}
