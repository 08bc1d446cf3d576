/**
 * How alike the keys are that a policy keeps: the mean cosine over all pairs of a KV head's kept keys,
 * averaged over heads, layers and stretches of a text.
 *
 *     deno task bench-redundancy --policies "snapkv,graphkv(snapkv)" --budget 128
 */
import { table } from "../commands/_table.ts";
import { parseArgs } from "node:util";
import { parsePolicies } from "../evaluation/mod.ts";
import { readEvidence } from "../evaluation/read_evidence.ts";
import { estimate } from "../evaluation/statistics.ts";
import { loadModel } from "../runtime/model.ts";
import { benchText } from "./text.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "smollm2-135m-instruct" },
    tokens: { type: "string", default: "1000" },
    stretches: { type: "string", default: "6" },
    budget: { type: "string", default: "128" },
    policies: { type: "string", default: "snapkv,graphkv(snapkv),pyramidkv,graphkv(pyramidkv)" },
  },
});
const [tokens, budget] = [Number(values.tokens), Number(values.budget)];
const policies = await parsePolicies(values.policies);
await using model = await loadModel(values.model);
const { engine, tokenizer, config: { layers, kvHeads, headDim } } = model;
const text = await benchText();
const all = tokenizer.encode(text, { bos: false });
const found = new Map(policies.map(({ label }) => [label, Array<number>()]));
for (let stretch = 0; stretch < Number(values.stretches); stretch++) {
  const ids = all.slice(stretch * tokens, (stretch + 1) * tokens);
  using evidence = await readEvidence({
    engine,
    facts: await model.facts(),
    ids,
    policies: policies.map(({ policy }) => policy),
    answerTokens: 16,
  });
  for (const { label, policy } of policies) {
    const kept = await evidence.keep(policy, budget);
    const { result } = await evidence.workFrom(kept, async ({ cache }) => {
      let sum = 0;
      for (let layer = 0; layer < layers; layer++) {
        for (const { keys } of await cache.entries(layer)) sum += meanCosine(keys);
      }
      return sum / layers / kvHeads;
    });
    found.get(label)?.push(result);
  }
}
console.log(`mean cosine of kept keys: ${values.stretches} × ${tokens} tokens, budget ${budget}`);
console.log(table(
  [...found].map(([label, cosines]) => {
    const { mean, interval } = estimate(cosines, 0);
    const shown = interval?.map((bound) => bound.toFixed(4)).join(" to ") ?? "-";
    return [label, mean?.toFixed(4) ?? "-", `(${shown})`];
  }),
));

/** From the length of the sum of all unit vectors: no pair needs a look. */
function meanCosine(keys: Float32Array): number {
  const count = keys.length / headDim;
  const sum = new Float64Array(headDim);
  for (let row = 0; row < count; row++) {
    const key = keys.subarray(row * headDim, (row + 1) * headDim);
    const size = Math.hypot(...key);
    key.forEach((value, i) => sum[i] = (sum[i] ?? 0) + value / size);
  }
  const square = sum.reduce((total, value) => total + value * value, 0);
  return (square - count) / (count * (count - 1));
}
