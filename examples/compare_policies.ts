/**
 * Answers one question with every policy at the same budget.
 *
 *     deno run -A examples/compare_policies.ts [model] [characters of the document] [budget]
 *
 * @module
 */
import { createPolicy, loadModel, parseBudget, registry } from "../mod.ts";

const [name = "smollm2-135m-instruct", characters = "Infinity", budget = "512"] = Deno.args;
const file = new URL("./speckled_band.txt", import.meta.url);
const document = (await Deno.readTextFile(file)).slice(0, Number(characters));
const question = "What is the number of the strong-box?";

await using model = await loadModel(name);
for (const policyName of Object.keys(registry)) {
  const policy = await createPolicy(policyName);
  // A session owns its cache; `await using` gives the memory back before the next one opens.
  await using session = model.session({ policy, budget: parseBudget(budget) });
  const answer = session.ask(document, question, { maxTokens: 24 });
  for await (const _ of answer);
  const { promptTokens, kept, bytes } = session.stats();
  // Layers and KV heads may keep different numbers.
  const heads = kept.flat();
  const mean = Math.round(heads.reduce((sum, count) => sum + count, 0) / heads.length);
  console.log(
    policyName.padEnd(14),
    `${mean} of ${promptTokens} tokens`.padEnd(22),
    `${(bytes.after / 2 ** 20).toFixed(1)} MiB`.padStart(9),
    "",
    JSON.stringify(answer.text),
  );
}
