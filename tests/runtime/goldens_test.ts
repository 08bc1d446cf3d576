import { assertEquals } from "@std/assert";
import { judgeQ } from "../../policies/judge_q.ts";
import { greedyToken } from "../../runtime/sampling/greedy.ts";
import { assertClose } from "../_close.ts";
import { newSequence, TINY, tinyModel } from "../_test_model.ts";
import { type Golden, openGolden } from "./_golden_file.ts";
import { checkJudges, checkPolicy, GOLDEN_POLICIES } from "./_golden_policies.ts";

for (const name of TINY) {
  const golden = openGolden(name);
  const ids = golden.integers("input_ids");

  Deno.test(`engine.advance() gives the golden logits, queries, keys and values of ${name}`, async () => {
    await using test = await tinyModel(name);
    const { engine, config } = test.model;
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    const rows = ids.map((_, index) => index);
    const step = await engine.advance(sequence, { ids, rows, queries: true });
    assertClose(step.logits, golden.floats("logits"), { absolute: 1e-3 }, "logits");
    assertEquals(step.queries.length, config.layers);
    for (let layer = 0; layer < config.layers; layer++) {
      const within = (actual: Float32Array | undefined, tensor: string) =>
        assertClose(actual ?? [], golden.floats(tensor), { absolute: 1e-4 }, tensor);
      within(step.queries[layer]?.data, `q.${layer}`);
      within(cache.keys(layer), `k.${layer}`);
      within(cache.values(layer), `v.${layer}`);
    }
  });

  Deno.test(`engine.advance() continues ${name} with the golden greedy tokens`, async () => {
    await using test = await tinyModel(name);
    const { engine } = test.model;
    const sequence = newSequence(engine);
    using _cache = sequence.cache;
    const expected = golden.integers("greedy");
    let { logits } = await engine.advance(sequence, { ids });
    const made: number[] = [];
    while (made.length < expected.length) {
      made.push(greedyToken(logits));
      ({ logits } = await engine.advance(sequence, { ids: made.slice(-1) }));
    }
    assertEquals(made, expected);
  });

  Deno.test(`the runtime keeps what the goldens keep of ${name} and decodes as they do`, async () => {
    await using test = await tinyModel(name);
    for (const policy of GOLDEN_POLICIES) await checkPolicy(test.model, golden, policy);
  });

  Deno.test(`engine.advance() decodes ${name} on layers of different lengths`, async () => {
    await using test = await tinyModel(name);
    const { engine, config: { layers, kvHeads } } = test.model;
    const next = golden.integers("greedy").slice(0, 3);
    const rows = next.map((_, index) => index);
    const decode = async (steps: readonly (readonly number[])[]) => {
      const sequence = newSequence(engine);
      using cache = sequence.cache;
      await engine.advance(sequence, { ids });
      for (let layer = 0; layer < layers; layer++) {
        const kept = Int32Array.from({ length: 50 - 20 * layer }, (_, index) => index + layer);
        cache.compact(layer, Array.from({ length: kvHeads }, () => kept));
      }
      const logits: number[] = [];
      for (const step of steps) {
        const wanted = step.length === 1 ? [0] : rows;
        logits.push(...(await engine.advance(sequence, { ids: step, rows: wanted })).logits);
      }
      return logits;
    };
    // One token at a time and several at once take different branches of the graph.
    const apart = await decode(next.map((id) => [id]));
    assertClose(apart, await decode([next]), { absolute: 1e-4 }, "logits");
  });

  Deno.test(`the runtime shows soft tokens and answers the golden attention of ${name}`, async () => {
    await using test = await tinyModel(name);
    const { model } = test;
    await checkJudges(golden, model.config.hidden, (options) => model.session(options));
  });

  Deno.test(`judgeQ() with the golden soft tokens keeps an exact set of ${name}`, async () => {
    await using test = await tinyModel(name);
    const { hidden } = test.model.config;
    const embeddings = golden.floats("judge_q.soft");
    const softTokens = { count: embeddings.length / hidden, hidden, embeddings, trained: true };
    const policy = judgeQ({
      ...{ softTokens, window: 0, kernel: 1 },
      ...{ draft: 0, group: "mean", share: "head" },
    });
    await using session = test.model.session({ policy, budget: golden.settings.kept });
    const { kept } = await session.read({ ids });
    const attention = golden.floats("judge_q.attention_soft");
    assertEquals(
      kept.map((heads) => heads.map((head) => [...head])),
      bestOfGroups(attention, golden),
    );
  });
}

/** Kept sets from golden attention, `[layers, heads, n]`, in plain TypeScript. */
function bestOfGroups(
  attention: Float32Array,
  { settings: { layers, heads, kv_heads: kvHeads, tokens, kept } }: Golden,
): number[][][] {
  const group = heads / kvHeads;
  return Array.from(
    { length: layers },
    (_, layer) =>
      Array.from({ length: kvHeads }, (_, kvHead) => {
        const scores = Array.from({ length: tokens }, (_, token) => {
          let sum = 0;
          for (let head = kvHead * group; head < (kvHead + 1) * group; head++) {
            sum += attention[(layer * heads + head) * tokens + token] ?? NaN;
          }
          return { token, score: sum / group };
        });
        scores.sort((a, b) => b.score - a.score || a.token - b.token);
        return scores.slice(0, kept).map(({ token }) => token).sort((a, b) => a - b);
      }),
  );
}
