/**
 * The Vercel AI SDK with `kvjudge serve`: eviction travels among the provider's options, an object
 * comes back by its schema.
 *
 * ```
 * kvjudge serve -m smollm2-135m-instruct &
 * deno run -A examples/serve/vercel_ai.ts
 * ```
 *
 * @module
 */
import { createOpenAICompatible } from "npm:@ai-sdk/openai-compatible@3.0.92";
import { generateText, jsonSchema, Output, streamText } from "npm:ai@7.0.173";

const provider = createOpenAICompatible({
  name: "kvjudge",
  baseURL: `${Deno.env.get("KVJUDGE_URL") ?? "http://127.0.0.1:8080"}/v1`,
  apiKey: Deno.env.get("KVJUDGE_API_KEY") ?? "none",
  supportsStructuredOutputs: true,
});
const model = provider(Deno.args[0] ?? "smollm2-135m-instruct");

const { textStream } = streamText({
  model,
  prompt: "What is the capital of France?",
  temperature: 0,
  maxOutputTokens: 40,
  providerOptions: { kvjudge: { eviction: { policy: "snapkv", budget: 256 } } },
});
for await (const piece of textStream) await Deno.stdout.write(new TextEncoder().encode(piece));
console.log();

const schema = jsonSchema<{ city: string; country: string }>({
  type: "object",
  properties: { city: { type: "string" }, country: { type: "string" } },
  required: ["city", "country"],
  additionalProperties: false,
});
const { output } = await generateText({
  model,
  prompt: "Paris is the capital of France. Answer with city and country.",
  temperature: 0,
  maxOutputTokens: 60,
  output: Output.object({ schema }),
});
console.log(output);
