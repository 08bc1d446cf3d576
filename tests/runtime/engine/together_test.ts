import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHostCache } from "../../../runtime/cache/host_cache.ts";
import { createTogether } from "../../../runtime/engine/host/together.ts";
import { advanceTogether } from "../../../runtime/engine/advance_together.ts";
import type { Engine } from "../../../runtime/engine/engine.ts";
import { emptySequence, type Sequence } from "../../../runtime/engine/sequence.ts";
import { loadModel } from "../../../runtime/model.ts";
import { KvjudgeError } from "../../../runtime/errors.ts";
import { fixture } from "../../_test_model.ts";

const STEPS = 5;

const CASES = [
  ["tiny-qwen3", "int8"],
  ["tiny-qwen3", "fp32"],
  ["tiny-mistral-window", "int8"],
] as const;

/** Sequences of different lengths; the odd ones evicted, the third with ragged heads. */
async function sequencesOf(engine: Engine, count: number): Promise<Sequence[]> {
  const { vocabulary, layers, kvHeads } = engine.config;
  const sequences: Sequence[] = [];
  for (let index = 0; index < count; index++) {
    const sequence = emptySequence(engine.newCache());
    const ids = Array.from({ length: 20 + 3 * index }, (_, at) => (at * 7 + index) % vocabulary);
    await engine.advance(sequence, { ids });
    const { cache } = sequence;
    for (let layer = 0; layer < layers && index % 2 === 1; layer++) {
      if (cache.window(layer) !== undefined) continue;
      const kept = Array.from(
        { length: kvHeads },
        (_, head) =>
          Int32Array.from(
            { length: index === 3 ? 4 + head + layer : 6 + layer },
            (_, at) => 2 * at,
          ),
      );
      await cache.compact(layer, kept);
    }
    sequences.push(sequence);
  }
  return sequences;
}

function entriesOf({ cache }: Sequence): number[] {
  return Array.from(
    { length: cache.layers },
    (_, layer) =>
      cache.home === "host"
        ? cache.entries(layer).flatMap(({ keys, values, positions }) => [
          ...keys,
          ...values,
          ...positions,
        ])
        : [],
  ).flat();
}

for (const [name, precision] of CASES) {
  for (const count of [2, 3, 5, 7]) {
    Deno.test(`pitfall 19, padding of batches: advanceTogether() with ${count} sequences of ${name} in ${precision} is one after the other to the bit`, async () => {
      // Five at once: seven are a step of five and one of two.
      await using model = await loadModel(fixture(name), { precision, sequences: 5 });
      const { engine } = model;
      assert(engine.together);
      const [together, alone] = [
        await sequencesOf(engine, count),
        await sequencesOf(engine, count),
      ];
      for (let step = 0; step < STEPS; step++) {
        const ids = together.map((_, index) => 11 + index + step);
        const logits = await advanceTogether(
          engine,
          together.map((sequence, index) => ({ sequence, id: ids[index] ?? 0 })),
        );
        for (const [index, sequence] of alone.entries()) {
          const expected = await engine.advance(sequence, { ids: [ids[index] ?? 0] });
          assertEquals(logits[index], expected.logits, `step ${step}, sequence ${index}`);
        }
      }
      for (const [index, sequence] of together.entries()) {
        const other = alone[index];
        assert(other);
        assertEquals(sequence.position, other.position);
        assertEquals(entriesOf(sequence), entriesOf(other));
      }
      for (const { cache } of [...together, ...alone]) cache[Symbol.dispose]();
    });
  }
}

Deno.test("advanceTogether() reads one after the other where an engine knows no better", async () => {
  await using model = await loadModel(fixture("tiny-llama"));
  const { engine } = model;
  assertEquals(engine.together, undefined);
  const [together, alone] = [await sequencesOf(engine, 2), await sequencesOf(engine, 2)];
  const logits = await advanceTogether(engine, together.map((sequence) => ({ sequence, id: 3 })));
  for (const [index, sequence] of alone.entries()) {
    assertEquals(logits[index], (await engine.advance(sequence, { ids: [3] })).logits);
  }
  for (const { cache } of [...together, ...alone]) cache[Symbol.dispose]();
});

/** A step in which each row of logits is its number, and what is appended the token's id. */
function fakeParts(disagree: boolean) {
  const counts = { together: 0, alone: 0 };
  const entries = (ids: readonly number[]) => [
    { keys: Float32Array.from(ids), values: Float32Array.from(ids) },
  ];
  const together = createTogether({
    config: { layers: 1, kvHeads: 1, headDim: 1, vocabulary: 1 },
    sequences: 4,
    inputsOf: () => ({ rotary: [], past: [] }),
    run({ ids }) {
      counts.together++;
      const logits = Float32Array.from(ids, (id) => id + (disagree && ids.length === 3 ? 1 : 0));
      const none = { written: [], queries: [], attentionSums: [] };
      return Promise.resolve({ ...none, logits, entries: entries(ids) });
    },
    alone(sequence, { ids = [] }) {
      counts.alone++;
      const [one] = entries(ids);
      if (one && sequence.cache.home === "host") {
        sequence.cache.append(0, one.keys, one.values, sequence.position);
      }
      sequence.position += ids.length;
      const result = { logits: Float32Array.from(ids), queries: [], attentionSums: [] };
      return Promise.resolve({ ...result, entries: entries(ids) });
    },
  });
  return { counts, together };
}

Deno.test("a number of sequences whose numbers differ together is read one after the other", async () => {
  for (const disagree of [false, true]) {
    const { counts, together } = fakeParts(disagree);
    const sequences = Array.from({ length: 3 }, () => {
      const cache = createHostCache({ layers: 1, kvHeads: 1, headDim: 1 });
      cache.append(0, Float32Array.of(1), Float32Array.of(1), 0);
      return { cache, position: 1, planned: 1 };
    });
    for (let step = 0; step < 4; step++) {
      const logits = await together(sequences.map((sequence, id) => ({ sequence, id })));
      assertEquals(logits.map(([first]) => first), [0, 1, 2]);
    }
    // The first step is done both ways.
    assertEquals(counts, disagree ? { together: 1, alone: 12 } : { together: 4, alone: 3 });
    assertEquals(sequences.map(({ cache }) => [...cache.keys(0)]), [
      [1, 0, 0, 0, 0],
      [1, 1, 1, 1, 1],
      [1, 2, 2, 2, 2],
    ]);
    await together(sequences.slice(1).map((sequence, id) => ({ sequence, id })));
    for (const { cache } of sequences) cache[Symbol.dispose]();
  }
});

Deno.test("engine.together() takes sequences that hold nothing yet", async () => {
  await using model = await loadModel(fixture("tiny-llama"), { precision: "int8", sequences: 2 });
  const { engine } = model;
  const sequences = [engine.newCache(), engine.newCache()].map((cache) => emptySequence(cache));
  const logits = await advanceTogether(engine, sequences.map((sequence) => ({ sequence, id: 3 })));
  assertEquals(logits[0], logits[1]);
  assertEquals(sequences.map(({ position }) => position), [1, 1]);
  for (const { cache } of sequences) cache[Symbol.dispose]();
});

Deno.test("loadModel() refuses numbers of sequences out of range", async () => {
  for (const sequences of [0, 1.5, 17]) {
    await assertRejects(
      () => loadModel(fixture("tiny-llama"), { sequences }),
      KvjudgeError,
      `Cannot run with ${sequences} sequences: 'sequences' must be an integer from 1 to 16`,
    );
  }
});
