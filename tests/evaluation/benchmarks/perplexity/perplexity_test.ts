import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { BenchmarkError } from "../../../../evaluation/benchmarks/errors.ts";
import {
  measurePerplexity,
  textWindows,
} from "../../../../evaluation/benchmarks/perplexity/measure.ts";
import { parsePolicies } from "../../../../evaluation/policy_list.ts";
import { bytesPerToken } from "../../../../runtime/cache/bytes_per_token.ts";
import { createHostCache } from "../../../../runtime/cache/host_cache.ts";
import { prefill } from "../../../../runtime/engine/prefill.ts";
import type { Model } from "../../../../runtime/model.ts";
import { tinyModel } from "../../../_test_model.ts";
import { wordTokenizer } from "../../../_word_tokenizer.ts";

const ids = Array.from({ length: 300 }, (_, index) => (index * 37) % 250 + 2);
const [first, second] = [ids.slice(0, 150), ids.slice(150)];

/** The same, a token at a time. */
async function slow({ engine, config }: Model): Promise<number> {
  const { layers, kvHeads, headDim } = config;
  using cache = createHostCache({ layers, kvHeads, headDim });
  const sequence = { cache, position: 0, planned: 0 };
  let { logits } = await prefill(engine, sequence, first, { chunk: 64, observe: "none" });
  let sum = 0;
  for (const id of second) {
    const odds = Array.from(logits, (logit) => Math.exp(logit - (logits[id] ?? 0)));
    sum += Math.log(odds.reduce((total, odd) => total + odd, 0));
    ({ logits } = await engine.advance(sequence, { ids: [id] }));
  }
  return sum / second.length;
}

Deno.test("measurePerplexity() gives what a token at a time gives, and suffers from eviction", async () => {
  await using tiny = await tinyModel("tiny-llama31");
  const { model } = tiny;
  const record = await measurePerplexity({ id: "one", first, second }, {
    model,
    policies: await parsePolicies("streaming_llm,oracle"),
    budgets: [{ label: "8", budget: 8 }, { label: "150", budget: 150 }],
    now: () => 0,
  });
  const [full, small, whole, oracle] = record.cells;
  assert(full && small && whole && oracle);
  const expected = await slow(model);
  assertAlmostEquals(full.score, expected, 1e-4);
  assertEquals([whole.score, whole.kept[0]], [full.score, full.kept[0]]);
  assert(Math.abs(small.score - full.score) > 1e-3);
  const token = bytesPerToken(model.config);
  // The whole cache has room for what the oracle asks as well.
  assertEquals(small.bytes, [full.bytes[0], 8 * token]);
  assert(full.bytes[0] >= 150 * token);
  assertEquals([record.promptTokens, full.outputTokens], [300, 150]);
});

Deno.test("textWindows() cuts halves that share nothing, spread over the text", () => {
  const tokenizer = wordTokenizer(1000);
  const text = Array.from({ length: 100 }, (_, index) => index).join(" ");
  const windows = textWindows({ text, tokens: 11, samples: 4 }, tokenizer);
  assertEquals(windows.map(({ first: [start], second }) => [start, second.length]), [
    [0, 5],
    [25, 5],
    [50, 5],
    [75, 5],
  ]);
  assertEquals(windows[1]?.second, [31, 32, 33, 34, 35]);
  assertThrows(
    () => textWindows({ text, tokens: 30, samples: 4 }, tokenizer),
    BenchmarkError,
    "Cannot cut 4 windows of 30 tokens out of a text of 100",
  );
});
