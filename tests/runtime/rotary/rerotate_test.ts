import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { knorm } from "../../../policies/knorm.ts";
import { rerotate } from "../../../policies/rerotate.ts";
import { streamingLlm } from "../../../policies/streaming_llm.ts";
import { OptionError } from "../../../policies/policy.ts";
import type { ModelConfig } from "../../../runtime/checkpoint/checkpoint.ts";
import type { HostKvCache } from "../../../runtime/cache/kv_cache.ts";
import type { Sequence } from "../../../runtime/engine/sequence.ts";
import { prefill } from "../../../runtime/engine/prefill.ts";
import { rerotateKeys } from "../../../runtime/rotary/rerotate.ts";
import { tokenOf, tokensRead } from "../../../runtime/rotary/position_map.ts";
import { PromptError } from "../../../runtime/errors.ts";
import { assertClose } from "../../_close.ts";
import { argmax, inverseFrequencies, type ReferenceCache } from "../../_reference_model.ts";
import { newSequence, randomIds, type TestModel, TINY, tinyModel } from "../../_test_model.ts";
import { whole } from "../session/_chat.ts";

const IDS = randomIds(60, 320);
const EXACT = { absolute: 1e-5, relative: 1e-5 };

/** Rerotates a rotated key back and on again in double precision. */
function turnedSlowly(key: Float32Array, config: ModelConfig, from: number, to: number) {
  const frequencies = inverseFrequencies(config, 1);
  const half = key.length / 2;
  const turned = Float64Array.from(key);
  for (let i = 0; i < half; i++) {
    for (const angle of [-from * (frequencies[i] ?? 0), to * (frequencies[i] ?? 0)]) {
      const [a, b] = [turned[i] ?? 0, turned[half + i] ?? 0];
      turned[i] = a * Math.cos(angle) - b * Math.sin(angle);
      turned[half + i] = b * Math.cos(angle) + a * Math.sin(angle);
    }
  }
  return turned;
}

async function readSequence({ model: { engine } }: TestModel): Promise<Sequence<HostKvCache>> {
  const sequence = newSequence(engine);
  await prefill(engine, sequence, IDS, { chunk: 32, observe: "none" });
  return sequence;
}

/** Other tokens for each head and layer, the same number of each. */
const kept = (layer: number, head: number) =>
  Int32Array.from(
    { length: 20 },
    (_, index) => index * 2 + (layer + head) % 3 + (index > 9 ? 18 : 0),
  );

for (const name of TINY) {
  Deno.test(`rerotateKeys() turns keys of ${name} to what they would have been at their new positions`, async () => {
    await using test = await tinyModel(name);
    const { model: { engine, config }, reference } = test;
    const sequence = await readSequence(test);
    using cache = sequence.cache;
    const heads = Array.from({ length: config.kvHeads }, (_, head) => head);
    for (let layer = 0; layer < config.layers; layer++) {
      cache.compact(layer, heads.map((head) => kept(layer, head)));
    }
    using before = cache.fork();
    await rerotateKeys(sequence, engine.config);
    assertEquals([sequence.position, tokensRead(sequence)], [20, 60]);
    for (let layer = 0; layer < config.layers; layer++) {
      for (const head of heads) {
        const [old, now] = [before.head(layer, head), cache.head(layer, head)];
        assertEquals([...now.positions], Array.from({ length: 20 }, (_, index) => index));
        assertEquals(now.values, old.values);
        const { headDim } = config;
        const expected = [...old.positions].flatMap((from, to) => [
          ...turnedSlowly(old.keys.subarray(to * headDim, (to + 1) * headDim), config, from, to),
        ]);
        assertClose(now.keys, expected, EXACT);
        for (const [to, from] of kept(layer, head).entries()) {
          assertEquals(tokenOf(sequence.positionMap, layer, head, to), from);
        }
        if (layer > 0) continue;
        // Keys of the first layer know nothing of other tokens: read at their new positions.
        const ids = [...kept(0, head)].map((token) => IDS[token] ?? 0);
        const { k } = reference.run(ids).layers[0] ?? { k: new Float32Array(0) };
        const anew = ids.flatMap((_, token) => {
          const start = (token * config.kvHeads + head) * headDim;
          return [...k.subarray(start, start + headDim)];
        });
        assertClose(now.keys, anew, EXACT);
      }
    }
    assertEquals(tokenOf(sequence.positionMap, 0, 0, 20), 60);
  });

  Deno.test(`rerotate(streaming_llm) goes on with ${name} as the reference does from turned keys`, async () => {
    await using test = await tinyModel(name);
    const { model, reference } = test;
    const { config, engine } = model;
    await using session = model.session({
      policy: rerotate({ inner: streamingLlm({ sinks: 4 }) }),
      budget: 24,
    });
    const { logits } = await session.read({ ids: IDS });
    const answer = await whole(session.generate({ maxTokens: 6 }));
    const { cache } = await readSequence(test);
    using held = cache;
    const tokens = Array.from({ length: 24 }, (_, to) => to < 4 ? to : to + 36);
    const turned = Array.from({ length: config.layers }, (_, layer) => {
      const keys = held.keys(layer);
      const { headDim, kvHeads } = engine.config;
      return Float32Array.from(
        tokens.flatMap((from, to) =>
          Array.from({ length: kvHeads }, (_, head) => {
            const start = (from * kvHeads + head) * headDim;
            return [...turnedSlowly(keys.slice(start, start + headDim), config, from, to)];
          }).flat()
        ),
      );
    });
    const values = Array.from({ length: config.layers }, (_, layer) => {
      const row = config.kvHeads * config.headDim;
      return Float32Array.from(
        tokens.flatMap((from) => [...held.values(layer).subarray(from * row, (from + 1) * row)]),
      );
    });
    let next = argmax(logits);
    let past: ReferenceCache = { length: 24, seen: 24, keys: turned, values };
    const expected: number[] = [];
    for (let step = 0; step < answer.ids.length; step++) {
      expected.push(next);
      const output = reference.run([next], { cache: past });
      past = output.cache;
      next = argmax(output.logits);
    }
    assertEquals(answer.ids, expected);
    assertEquals(session.ids.length, 60 + answer.ids.length);
  });
}

Deno.test("rerotateKeys() lets heads and layers of different lengths end right before the next token", async () => {
  await using test = await tinyModel("tiny-llama31");
  const { engine: { config } } = test.model;
  const sequence = await readSequence(test);
  using cache = sequence.cache;
  cache.compact(1, Array.from({ length: config.kvHeads }, () => Int32Array.from([3, 9, 50])));
  cache.compact(2, Array.from({ length: config.kvHeads }, () => Int32Array.from([0, 1, 2, 3, 59])));
  cache.compact(0, Array.from({ length: config.kvHeads }, () => Int32Array.from([0, 7])));
  await rerotateKeys(sequence, config);
  assertEquals(sequence.position, 5);
  assertEquals([...cache.head(0, 0).positions], [3, 4]);
  assertEquals([...cache.head(1, 0).positions], [2, 3, 4]);
  assertEquals([0, 2, 3, 4, 5].map((at) => tokenOf(sequence.positionMap, 1, 0, at)), [
    -1,
    3,
    9,
    50,
    60,
  ]);
  // PositionMap again, tokens are still known.
  cache.compact(2, Array.from({ length: config.kvHeads }, () => Int32Array.from([1, 4])));
  await rerotateKeys(sequence, config);
  assertEquals(sequence.position, 3);
  assertEquals([1, 2].map((at) => tokenOf(sequence.positionMap, 2, 0, at)), [1, 59]);
  assertEquals(tokensRead(sequence), 60);
});

Deno.test("rerotate(policy) appends, rolls back and forks like any other", async () => {
  await using test = await tinyModel("tiny-qwen3");
  const policy = rerotate({ inner: knorm() });
  await using session = test.model.session({ policy, budget: 16 });
  await session.read({ ids: IDS.slice(0, 30) });
  const mark = await session.mark();
  const first = (await whole(session.generate({ maxTokens: 5 }))).ids;
  await session.append({ ids: IDS.slice(30) });
  const second = (await whole(session.generate({ maxTokens: 5 }))).ids;
  assert(session.stats().held.every((held) => held === 20), session.stats().held.join());
  await session.rollback(mark);
  assertEquals(session.ids, IDS.slice(0, 30));
  await using fork = await session.fork();
  for (const one of [session, fork]) {
    assertEquals((await whole(one.generate({ maxTokens: 5 }))).ids, first);
    await one.append({ ids: IDS.slice(30) });
    assertEquals((await whole(one.generate({ maxTokens: 5 }))).ids, second);
  }
});

Deno.test("rerotate(policy) is refused where keys have different frequencies, and twice", async () => {
  await using test = await tinyModel("tiny-llama");
  const { engine } = test.model;
  const scaling = { kind: "dynamic", factor: 2, originalContext: 32 } as const;
  const config = { ...engine.config, ropes: [{ theta: 10_000, scaling }] };
  const sequence = newSequence(engine);
  using _ = sequence.cache;
  await assertRejects(
    () => rerotateKeys(sequence, config),
    PromptError,
    "RoPE scaling changes with the text's length",
  );
  const { createSession } = await import("../../../runtime/session/open.ts");
  await using session = createSession(
    { ...test.model, engine: { ...engine, config }, now: () => 0 },
    { policy: rerotate(), budget: 40 },
  );
  await assertRejects(
    () => session.read({ ids: IDS }),
    PromptError,
    "Cannot evict with policy 'rerotate': this model's RoPE scaling changes with the text's length",
  );
  assertThrows(
    () => rerotate({ inner: rerotate() }),
    OptionError,
    "Cannot wrap 'rerotate' in 'rerotate'",
  );
});
