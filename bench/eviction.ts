/**
 * What evicting a long prompt costs, for every policy: evidence, scores, selection and compaction as a
 * share of reading the prompt without eviction, in the same run. What policies observe while the prompt
 * is read is not part of it: `deno task bench` measures that.
 *
 *     deno task bench-eviction --tokens 4096 --policies snapkv,judge_q
 */
import { table } from "../commands/_table.ts";
import { parseArgs } from "node:util";
import { parsePolicies } from "../evaluation/mod.ts";
import { readEvidence } from "../evaluation/read_evidence.ts";
import { registry } from "../policies/registry.ts";
import { createHostCache } from "../runtime/cache/host_cache.ts";
import { prefill } from "../runtime/engine/prefill.ts";
import { loadModel } from "../runtime/model.ts";
import { benchText } from "./text.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "smollm2-135m-instruct" },
    tokens: { type: "string", default: "4096" },
    budget: { type: "string", default: "256" },
    policies: {
      type: "string",
      default: Object.keys(registry).filter((name) => name !== "full").join(),
    },
  },
});
const [tokens, budget] = [Number(values.tokens), Number(values.budget)];
const policies = await parsePolicies(values.policies);
await using model = await loadModel(values.model);
const { engine, tokenizer, config: { layers, kvHeads, headDim } } = model;
const text = await benchText();
const ids = tokenizer.encode(text).slice(0, tokens);
const now = () => performance.now();
const start = now();
{
  using cache = createHostCache({ layers, kvHeads, headDim });
  const sequence = { cache, position: 0, planned: 0 };
  await prefill(engine, sequence, ids, { chunk: 256, observe: "none" });
}
const reading = now() - start;
using evidence = await readEvidence({
  engine,
  facts: await model.facts(),
  ids,
  policies: policies.map(({ policy }) => policy),
  answerTokens: 64,
  now,
});
const rows: string[][] = [["policy", "evidence", "choosing", "dropping", "share"]];
for (const { label, policy } of policies) {
  const begun = now();
  const kept = await evidence.keep(policy, budget);
  const choosing = now() - begun;
  const { times: { compact } } = await evidence.workFrom(kept, () => Promise.resolve());
  const times = [evidence.evidenceTime(policy), choosing, compact];
  const total = times.reduce((sum, time) => sum + time, 0);
  rows.push([
    label,
    ...times.map((time) => time.toFixed(0)),
    `${(100 * total / reading).toFixed(1)} %`,
  ]);
}
console.log(
  `${ids.length} tokens, budget ${budget}; milliseconds; reading takes ${reading.toFixed(0)}`,
);
console.log(table(rows));
