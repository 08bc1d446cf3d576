/**
 * LangChain.js with `kvjudge serve`: a chat, a stream, and eviction in `modelKwargs`.
 *
 * ```
 * kvjudge serve -m smollm2-135m-instruct &
 * deno run -A examples/serve/langchain.ts
 * ```
 *
 * @module
 */
import { HumanMessage, SystemMessage } from "npm:@langchain/core@1.4.0/messages";
import { ChatOpenAI } from "npm:@langchain/openai@1.6.0";

const model = new ChatOpenAI({
  model: Deno.args[0] ?? "smollm2-135m-instruct",
  apiKey: Deno.env.get("KVJUDGE_API_KEY") ?? "none",
  temperature: 0,
  maxTokens: 40,
  configuration: { baseURL: `${Deno.env.get("KVJUDGE_URL") ?? "http://127.0.0.1:8080"}/v1` },
  modelKwargs: { eviction: { policy: "snapkv", budget: 256 } },
});

const answer = await model.invoke([
  new SystemMessage("Be brief."),
  new HumanMessage("What is the capital of France?"),
]);
console.log(answer.content);

for await (const { content } of await model.stream("Count to five.")) {
  await Deno.stdout.write(new TextEncoder().encode(String(content)));
}
console.log();
