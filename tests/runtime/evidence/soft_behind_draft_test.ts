import { assert, assertEquals } from "@std/assert";
import type { Evidence, SoftTokens } from "../../../policies/policy.ts";
import { bytesPerToken } from "../../../runtime/cache/bytes_per_token.ts";
import { cacheShapeOf, type Gathered } from "../../../runtime/engine/engine.ts";
import { prefill } from "../../../runtime/engine/prefill.ts";
import { greedyAnswer } from "../../../runtime/evidence/greedy.ts";
import { gatherEvidence } from "../../../runtime/evidence/gather.ts";
import { observationFor, observePrompt } from "../../../runtime/evidence/observe.ts";
import type { Model } from "../../../runtime/model.ts";
import { assertClose } from "../../_close.ts";
import { newSequence, randomIds, TINY, tinyModel } from "../../_test_model.ts";

const STEPS = 3;

for (const name of TINY) {
  Deno.test(`soft tokens of ${name} stand behind a draft, which judges apart`, async () => {
    await using tiny = await tinyModel(name);
    const { model } = tiny;
    const ids = randomIds(40, model.config.vocabulary, 5);
    const tokens = softTokens(model.config.hidden);
    const soft: Evidence = { kind: "soft", tokens: () => tokens };
    const draft = await greedyDraft(model, ids);
    assertEquals(draft.length, STEPS);

    const drafted = await gather(model, ids, { ...soft, draft: STEPS });
    const behind = await gather(model, [...ids, ...draft], soft);
    // What the last token of the prompt pays, and each of the draft's.
    const paid: Awaited<ReturnType<typeof gather>>["attention"][] = [];
    for (let read = 0; read <= STEPS; read++) {
      const text = [...ids, ...draft.slice(0, read)];
      paid.push((await gather(model, text, { kind: "window", size: 1 })).attention);
    }
    const { heads, layers } = model.config;
    assertEquals(drafted.attention.length, layers);
    for (let layer = 0; layer < layers; layer++) {
      const cut = columns(behind.attention[layer] ?? [], heads, ids.length);
      assertClose(drafted.attention[layer] ?? [], cut, { absolute: 1e-5 });
      const ofEach = paid.map((one) => columns(one[layer] ?? [], heads, ids.length));
      const most = Array.from(cut, (_, at) => Math.max(...ofEach.map((one) => one[at] ?? NaN)));
      assertClose(drafted.draft[layer] ?? [], most, { absolute: 1e-5 });
    }
    assertEquals(drafted.lengths, new Array(layers).fill(ids.length));
  });
}

Deno.test("a draft ends where the answer does", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const { model } = tiny;
  const ids = randomIds(40, model.config.vocabulary, 5);
  const [first = -1] = await greedyDraft(model, ids);
  const tokens = softTokens(model.config.hidden);
  const config = { ...model.engine.config, eosIds: [first] };
  const engine = { ...model.engine, config };
  const evidence: Evidence = { kind: "soft", tokens: () => tokens, draft: STEPS };
  const ended = await gather({ ...model, engine }, ids, evidence);
  const one = await gather(model, ids, { ...evidence, draft: 1 });
  for (const [layer, paid] of ended.draft.entries()) {
    assertClose(paid, one.draft[layer] ?? [], { absolute: 1e-6 });
  }
});

Deno.test("what judges a prompt finds room behind it: no cache grows for that", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const { engine, config } = tiny.model;
  const facts = await tiny.model.facts();
  const tokens = softTokens(config.hidden);
  const judges: [Evidence, number][] = [
    [{ kind: "soft", tokens: () => tokens }, tokens.count],
    [{ kind: "soft", tokens: () => tokens, draft: STEPS }, tokens.count + STEPS],
    [{ kind: "given", queries: { kind: "greedy", steps: STEPS } }, STEPS],
    [{ kind: "given", queries: { kind: "tokens", ids: [5, 6] } }, 2],
  ];
  for (const [evidence, room] of judges) {
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    using scope = new DisposableStack();
    const ids = randomIds(40, config.vocabulary);
    const reading = { engine, sequence, ids, facts, chunk: 64, scope, evidence: [evidence] };
    const observed = await observePrompt(reading);
    const perToken = bytesPerToken(cacheShapeOf(engine));
    assertEquals(cache.bytes, (ids.length + room) * perToken);
    await observed.gather(evidence, { keep: [] });
    assertEquals(cache.bytes, (ids.length + room) * perToken);
  }
});

function softTokens(hidden: number): SoftTokens {
  const embeddings = Float32Array.from({ length: 4 * hidden }, (_, at) => Math.sin(at) / 10);
  return { count: 4, hidden, embeddings, trained: true };
}

type Read = Pick<Model, "engine" | "facts">;

async function greedyDraft({ engine }: Read, ids: readonly number[]): Promise<readonly number[]> {
  const sequence = newSequence(engine);
  using _cache = sequence.cache;
  const { logits } = await prefill(engine, sequence, ids, { chunk: 19, observe: "none" });
  return await greedyAnswer({ engine, sequence, logits, steps: STEPS });
}

async function gather(model: Read, ids: readonly number[], evidence: Evidence) {
  const { engine } = model;
  const facts = await model.facts();
  const sequence = newSequence(engine);
  using cache = sequence.cache;
  using scope = new DisposableStack();
  const observe = observationFor(evidence);
  const prefilled = await prefill(engine, sequence, ids, { chunk: 19, observe, scope });
  const request = { engine, sequence, facts, prefilled, text: ids, keep: [], scope };
  const gathered: Gathered = await gatherEvidence(evidence, request);
  const floats = async (rows: Gathered["attention"] = []) => {
    const all: number[][] = [];
    for (const one of rows) all.push([...await one.floats()]);
    return all;
  };
  assert(sequence.position === ids.length);
  return {
    attention: await floats(gathered.attention),
    draft: await floats(gathered.draft),
    lengths: Array.from({ length: cache.layers }, (_, layer) => cache.length(layer)),
  };
}

function columns(rows: readonly number[], heads: number, count: number): number[] {
  const width = rows.length / heads;
  return Array.from({ length: heads }, (_, head) => rows.slice(head * width, head * width + count))
    .flat();
}
