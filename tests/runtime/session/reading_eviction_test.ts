import { assert, assertEquals, assertRejects } from "@std/assert";
import { createPolicy } from "../../../policies/create.ts";
import { h2o } from "../../../policies/h2o.ts";
import type { ScorerPolicy } from "../../../policies/policy.ts";
import { rerotate } from "../../../policies/rerotate.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { streamingLlm } from "../../../policies/streaming_llm.ts";
import { whileDecoding } from "../../../policies/while_decoding.ts";
import { whileReading } from "../../../policies/while_reading.ts";
import { globalLayersOf } from "../../../runtime/cache/global_layers.ts";
import type { KvCache } from "../../../runtime/cache/kv_cache.ts";
import { globalLayers } from "../../../runtime/checkpoint/layer_kinds.ts";
import type { Engine } from "../../../runtime/engine/engine.ts";
import { BudgetError, PolicyError, PromptError } from "../../../runtime/errors.ts";
import type { Model } from "../../../runtime/model.ts";
import { createSession } from "../../../runtime/session/open.ts";
import type { Session, SessionOptions } from "../../../runtime/session/session.ts";
import { smallPolicies } from "../../_small_policies.ts";
import { randomIds, tinyModel, WINDOWED } from "../../_test_model.ts";
import { wordTokenizer } from "../../_word_tokenizer.ts";

const EVERY = 16;
/** Soft tokens of restore_kv. */
const RESTORING = 8;
const KEEP = 48;
const BUDGET = 24;
const TOKENS = 200;

/** @param onStep Is told of each chunk that is read. */
function openSession(
  { engine, facts, config: { vocabulary, ...config } }: Model,
  options: SessionOptions,
  onStep: (cache: KvCache) => void = () => {},
  changes: Partial<Engine["config"]> = {},
): Session {
  const watched: Engine = {
    ...engine,
    config: { ...config, vocabulary, eosIds: [], ...changes },
    async advance(sequence, input) {
      const result = await engine.advance(sequence, input);
      onStep(sequence.cache);
      return result;
    },
  };
  const tokenizer = wordTokenizer(vocabulary);
  return createSession({ engine: watched, tokenizer, facts, now: () => 0 }, options);
}

/** Tokens of a KV head of a global layer, on average. */
function meanHeld(cache: KvCache): number {
  const held = globalLayersOf(cache).flatMap((layer) => cache.lengths(layer));
  return held.reduce((sum, length) => sum + length, 0) / held.length;
}

async function answered(session: Session, maxTokens = 12): Promise<readonly number[]> {
  const answer = session.generate({ maxTokens });
  for await (const _ of answer);
  return answer.ids;
}

for (const name of ["tiny-llama31", ...WINDOWED]) {
  Deno.test(`while_reading bounds the cache of ${name} whatever the length, by every policy and wrapper`, async () => {
    await using test = await tinyModel(name);
    const { config } = test.model;
    const evicts = globalLayers(config).length > 0;
    const most = async (inner: ScorerPolicy, tokens: number) => {
      const policy = whileReading({ inner, every: EVERY, keep: KEEP });
      let [held, bytes] = [0, 0];
      await using session = openSession(test.model, { policy, budget: BUDGET }, (cache) => {
        // Drafts, repetitions and known answers stand behind the cache, or a copy, for a moment.
        if (["lookahead", "given", "replay"].includes(inner.evidence.kind)) return;
        held = Math.max(held, meanHeld(cache));
        bytes = Math.max(bytes, cache.bytes);
      });
      const reading = await session.read({ ids: randomIds(tokens, config.vocabulary) });
      const { readEvictions, promptTokens, prefilled } = session.stats();
      assertEquals([promptTokens, prefilled, reading.tokens], [tokens, tokens, tokens]);
      assert(bytes <= reading.bytes.before, `${inner.name}: ${bytes} of ${reading.bytes.before}`);
      bytes = reading.bytes.before;
      if (!evicts) return { bytes, readEvictions };
      const { evidence } = inner;
      const drafted = evidence.kind === "soft" ? evidence.draft ?? 0 : 0;
      const restoring = inner.restores ? RESTORING : 0;
      assert(held <= EVERY + KEEP + drafted + restoring, `${inner.name} held ${held}`);
      for (const layer of globalLayers(config)) {
        for (const kept of reading.kept[layer] ?? []) {
          assertEquals([...new Set(kept)].sort((a, b) => a - b), [...kept], "in the text's order");
          assert(kept.every((token) => token >= 0 && token < tokens));
        }
      }
      return { bytes, readEvictions };
    };
    for (const { policy, name: of } of await smallPolicies(snapKv({ window: 8, kernel: 3 }))) {
      if (!("score" in policy) || policy.evicts === false || policy.phases?.reading) continue;
      const inner = of === "oracle" ? await createPolicy("oracle", { ids: [5, 6, 7] }) : policy;
      const one = await most(inner as ScorerPolicy, TOKENS);
      const other = await most(inner as ScorerPolicy, 2 * TOKENS);
      // Heads that share a budget lie in blocks, which are rounded up.
      assert(other.bytes <= one.bytes * 1.15, `${of}: ${one.bytes}, then ${other.bytes}`);
      assertEquals(one.readEvictions, evicts ? Math.ceil((TOKENS - KEEP - EVERY) / EVERY) : 0, of);
    }
  });
}

Deno.test("while_reading changes nothing where its budget and a piece cover the prompt", async () => {
  await using test = await tinyModel("tiny-qwen3");
  const ids = randomIds(90, test.model.config.vocabulary);
  for (const { policy, name } of await smallPolicies()) {
    if (!("score" in policy) || policy.evicts === false || policy.phases?.reading) continue;
    const inner = name === "oracle" ? await createPolicy("oracle", { ids: [5, 6] }) : policy;
    await using plain = openSession(test.model, { policy: inner, budget: BUDGET });
    const expected = await plain.read({ ids });
    for (const around of [{ every: 1, keep: 89 }, { every: 66 }, { every: 5, keep: 500 }]) {
      const reading = whileReading({ inner: inner as ScorerPolicy, ...around });
      await using session = openSession(test.model, { policy: reading, budget: BUDGET });
      const { logits, kept } = await session.read({ ids });
      assertEquals([logits, kept], [expected.logits, expected.kept], name);
      assertEquals(session.stats().readEvictions, 0);
    }
  }
});

for (
  const [name, inner] of [
    ["tiny-llama31", snapKv({ window: 8, kernel: 3 })],
    ["tiny-gemma3", streamingLlm({ sinks: 2 })],
  ] as const
) {
  Deno.test(`while_reading on ${name} is what appending piece by piece is, to the bit`, async () => {
    await using test = await tinyModel(name);
    const ids = randomIds(TOKENS, test.model.config.vocabulary);
    const policy = whileReading({ inner, every: EVERY, keep: KEEP });
    await using session = openSession(test.model, { policy, budget: BUDGET });
    const { logits } = await session.read({ ids });
    await using pieces = openSession(test.model, { policy: inner, budget: KEEP });
    let at = KEEP + EVERY;
    await pieces.read({ ids: ids.slice(0, at) });
    for (; at + EVERY < TOKENS; at += EVERY) {
      await pieces.append({ ids: ids.slice(at, at + EVERY) });
    }
    pieces.configure({ budget: BUDGET });
    const last = await pieces.append({ ids: ids.slice(at) });
    assertEquals(last.logits, logits);
    assertEquals(session.stats().held, pieces.stats().held);
    assertEquals(await answered(session), await answered(pieces));
  });
}

Deno.test("while_reading never leaves less than the budget, whatever 'keep' is", async () => {
  await using test = await tinyModel("tiny-llama31");
  const ids = randomIds(TOKENS, test.model.config.vocabulary);
  const policy = whileReading({ inner: streamingLlm(), every: EVERY, keep: 8 });
  const { layers } = test.model.config;
  for (const budget of [40, 0.2, new Array<number>(layers).fill(40)]) {
    await using session = openSession(test.model, { policy, budget });
    await session.read({ ids });
    assertEquals(session.stats().held, new Array<number>(layers).fill(40));
  }
});

Deno.test("while_reading carries on what tokens have received, as H2O adds it up", async () => {
  await using test = await tinyModel("tiny-llama31");
  const ids = randomIds(TOKENS, test.model.config.vocabulary);
  // All that is read in the first piece stays until the end, where sums decide.
  const received = async (inner: ScorerPolicy) => {
    const policy = whileReading({ inner, every: EVERY, keep: KEEP });
    const seen: Float32Array[] = [];
    const spied: ScorerPolicy = {
      ...policy,
      score: async (layer) => {
        if (layer.layer === 0) seen.push(await layer.groupAttention());
        return await inner.score(layer);
      },
    };
    await using session = openSession(test.model, { policy: spied, budget: BUDGET });
    await session.read({ ids });
    return seen;
  };
  const [first = new Float32Array(), ...others] = await received(h2o());
  // The first token is seen by all: it has received more behind every piece.
  const sums = [first, ...others].map(([sum = 0]) => sum);
  assertEquals(sums.toSorted((a, b) => a - b), sums);
  // Each query gives 1 in all: what is held has got at most what was read until then.
  for (const [piece, all] of [first, ...others].entries()) {
    const total = all.reduce((sum, one) => sum + one, 0);
    const read = Math.min(TOKENS, KEEP + EVERY * (piece + 1));
    const { kvHeads } = test.model.config;
    assert(total <= read * kvHeads + 1e-3, `${total} of ${read * kvHeads}`);
  }
});

Deno.test("while_reading over turns: appended text is read in pieces too, marks and forks hold", async () => {
  await using test = await tinyModel("tiny-gemma3");
  const { vocabulary } = test.model.config;
  const policy = whileReading({
    inner: snapKv({ window: 8, kernel: 3 }),
    every: EVERY,
    keep: KEEP,
  });
  let held = 0;
  await using session = openSession(test.model, { policy, budget: BUDGET }, (cache) => {
    held = Math.max(held, meanHeld(cache));
  });
  await session.read({ ids: randomIds(120, vocabulary) });
  const more = randomIds(150, vocabulary, 7);
  await using fork = await session.fork();
  using mark = await session.mark();
  const before = await answered(session, 6);
  await session.rollback(mark);
  const { readEvictions } = session.stats();
  const { logits, tokens } = await session.append({ ids: more });
  assertEquals(tokens, 150);
  assert(session.stats().readEvictions > readEvictions + 5);
  const answer = await answered(session);
  await session.rollback(mark);
  assertEquals(await answered(session, 6), before);
  const copy = await fork.append({ ids: more });
  assertEquals(copy.logits, logits);
  assertEquals(await answered(fork), answer);
  assert(held <= EVERY + KEEP, `${held}`);

  // Saved behind pieces, a cache goes on as it would have.
  const path = await Deno.makeTempFile();
  try {
    await session.rollback(mark);
    await session.append({ ids: more });
    await session.save(path);
    await using loaded = openSession(test.model, { policy, budget: BUDGET });
    await loaded.load(path);
    assertEquals(await answered(loaded), answer);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("while_reading evicts in pieces what is written behind it too", async () => {
  await using test = await tinyModel("tiny-llama31");
  const inner = whileReading({ inner: h2o(), every: EVERY, keep: KEEP });
  const policy = whileDecoding({ inner, every: 8, target: BUDGET });
  await using session = openSession(test.model, { policy, budget: BUDGET });
  await session.read({ ids: randomIds(TOKENS, test.model.config.vocabulary) });
  await answered(session, 40);
  const { readEvictions, decodeEvictions } = session.stats();
  assertEquals([readEvictions, decodeEvictions], [9, 4]);
});

Deno.test("a text of any length is read beyond the context, with positions without gaps", async () => {
  await using test = await tinyModel("tiny-llama");
  const context = 96;
  const ids = randomIds(500, test.model.config.vocabulary);
  const inner = snapKv({ window: 8, kernel: 3 });
  const policy = whileReading({ inner, every: EVERY, keep: KEEP });
  for (const one of [policy, rerotate({ inner: policy })]) {
    const options = { policy: one, budget: BUDGET };
    await using session = openSession(test.model, options, () => {}, { context });
    const { tokens, bytes } = await session.read({ ids });
    assertEquals([tokens, session.stats().promptTokens], [500, 500]);
    const { kvHeads, headDim, layers } = test.model.config;
    const token = layers * kvHeads * (2 * headDim + 1) * 4;
    assertEquals(bytes.before, (KEEP + EVERY) * token);
    assertEquals((await answered(session, 20)).length, 20);
  }
  const refusing = { policy, budget: BUDGET, beyondContext: "refuse" } as const;
  await using session = openSession(test.model, refusing, () => {}, { context });
  await assertRejects(() => session.read({ ids }), PromptError, "is 'refuse'");
  // What rotates its keys anew never comes to the context's end.
  const options = { ...refusing, policy: rerotate({ inner: policy }) };
  await using other = openSession(test.model, options, () => {}, { context });
  assertEquals((await other.read({ ids })).tokens, 500);
});

Deno.test("protected tokens stay through all pieces, or are refused", async () => {
  await using test = await tinyModel("tiny-qwen3");
  const ids = randomIds(TOKENS, test.model.config.vocabulary);
  const policy = whileReading({
    inner: snapKv({ window: 8, kernel: 3 }),
    every: EVERY,
    keep: KEEP,
  });
  await using session = openSession(test.model, { policy, budget: BUDGET });
  const protect = [{ from: 3, to: 9 }, { from: 100, to: 104 }];
  const { kept } = await session.read({ ids }, { protect });
  const stay = protect.flatMap(({ from, to }) =>
    Array.from({ length: to - from }, (_, at) => from + at)
  );
  for (const head of kept.flat()) {
    const held = new Set(head);
    assert(stay.every((token) => held.has(token)), `${[...head]}`);
  }
  await assertRejects(
    () => session.read({ ids }, { protect: [{ from: 0, to: 30 }] }),
    BudgetError,
    "protected tokens",
  );
});

Deno.test("a piece that fails leaves a session as it was", async () => {
  await using test = await tinyModel("tiny-llama31");
  const { vocabulary } = test.model.config;
  const inner = streamingLlm();
  let calls = 0;
  const failing: ScorerPolicy = {
    ...whileReading({ inner, every: EVERY, keep: KEEP }),
    score: (layer) => {
      if (++calls > 60) throw new Error("no more");
      return inner.score(layer);
    },
  };
  await using session = openSession(test.model, { policy: failing, budget: BUDGET });
  await session.read({ ids: randomIds(80, vocabulary) });
  const before = session.stats();
  using mark = await session.mark();
  const expected = await answered(session);
  await session.rollback(mark);
  mark[Symbol.dispose]();
  await assertRejects(() => session.append({ ids: randomIds(400, vocabulary, 3) }), PolicyError);
  assert(session.stats().readEvictions > before.readEvictions, "it failed behind a later piece");
  assertEquals([session.stats().held, session.ids.length], [before.held, 80]);
  assertEquals(await answered(session), expected);
  const abort = new AbortController();
  calls = -1e9;
  const reading = session.read({ ids: randomIds(400, vocabulary, 3) }, {
    signal: abort.signal,
    onProgress: (done) => void (done > 150 && abort.abort()),
  });
  await assertRejects(() => reading, DOMException);
  assertEquals(session.stats().bytes.now, 0);
});
