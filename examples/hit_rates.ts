/**
 * Measures how many of the tokens that the answer attends to policies keep.
 *
 *     deno run -A examples/hit_rates.ts [model] [characters of the document] [policies]
 *
 * @module
 */
import { measureHitRates, parsePolicies } from "../evaluation/mod.ts";
import { loadModel } from "../mod.ts";

const [name = "smollm2-135m-instruct", characters = "Infinity"] = Deno.args;
// Your own goes beside them, as in "snapkv,./my_policy.ts(window=16)".
const policies = await parsePolicies(Deno.args[2] ?? "random,streaming_llm,snapkv,judge_q");
const file = new URL("./speckled_band.txt", import.meta.url);
const document = (await Deno.readTextFile(file)).slice(0, Number(characters));
const question = "What is the number of the strong-box?";

await using model = await loadModel(name);
// The prompt is read once; its answer, made with the whole cache, is what policies are held against.
const { results } = await measureHitRates({
  model,
  prompts: [{ line: 1, prompt: { text: `${document}\n\n${question}` } }],
  policies,
  budgets: [128, 256].map((budget) => ({ label: String(budget), budget })),
  responseTokens: 24,
});
for (const { policy, budget, hitRate, attentionMass } of results) {
  const [hits, mass] = [hitRate, attentionMass].map(({ mean }) => mean?.toFixed(3) ?? "all kept");
  console.log(
    policy.padEnd(16),
    `${budget} tokens`.padStart(10),
    `  hit rate ${hits}  mass ${mass}`,
  );
}
