/**
 * A policy of your own, beside a built-in one.
 *
 *     deno run -A examples/custom_policy.ts [model] [characters of the document]
 *
 * @module
 */
import { type LayerView, loadModel, type ScorerPolicy, snapKv } from "../mod.ts";

/** Ranks a token by the attention it gets from the end of the prompt, times the size of its value. */
function weightedValues(window = 32): ScorerPolicy {
  return {
    name: "weighted_values",
    // What the runtime must gather: here the attention of the last prompt tokens.
    evidence: { kind: "window", size: window },
    // Kept whatever their scores are. They count towards the budget.
    protect: { sinks: 4, recent: window },
    // Called once per layer. One number for each KV head and token; the highest are kept.
    async score(layer) {
      const attention = await layer.groupAttention(); // [kvHeads × length]
      const sizes = await valueSizes(layer);
      return attention.map((paid, index) => paid * (sizes[index] ?? 0));
    },
  };
}

/** Euclidean norms of the values, `[kvHeads × length]`. */
async function valueSizes({ kvHeads, headDim, length, values }: LayerView): Promise<Float32Array> {
  const rows = await values(); // [length, kvHeads, headDim], a copy
  return Float32Array.from({ length: kvHeads * length }, (_, index) => {
    const start = ((index % length) * kvHeads + Math.floor(index / length)) * headDim;
    return Math.hypot(...rows.subarray(start, start + headDim));
  });
}

const [name = "smollm2-135m-instruct", characters = "Infinity"] = Deno.args;
const file = new URL("./speckled_band.txt", import.meta.url);
const document = (await Deno.readTextFile(file)).slice(0, Number(characters));

await using model = await loadModel(name);
for (const policy of [weightedValues(), snapKv()]) {
  await using session = model.session({ policy, budget: 512 });
  const answer = session.ask(document, "What is the number of the strong-box?", { maxTokens: 24 });
  for await (const _ of answer);
  console.log(policy.name.padEnd(16), JSON.stringify(answer.text));
}
