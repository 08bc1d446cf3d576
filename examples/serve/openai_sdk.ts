/**
 * The openai SDK with `kvjudge serve`: a document is read once, two questions are asked about it, one
 * of them streamed.
 *
 * ```
 * kvjudge serve -m smollm2-135m-instruct &
 * deno run -A examples/serve/openai_sdk.ts examples/speckled_band.txt
 * ```
 *
 * @module
 */
import OpenAI from "npm:openai@7.59.0";

const url = Deno.env.get("KVJUDGE_URL") ?? "http://127.0.0.1:8080";
const apiKey = Deno.env.get("KVJUDGE_API_KEY") ?? "none";
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey });
const [file] = Deno.args;
const text = file === undefined ? "Mill Lane has 12 houses." : await Deno.readTextFile(file);

// Read and compressed once. Documents are not part of OpenAI's API, so the path is given by hand.
const document = await client.post<{ id: string; tokens: number; kept: number }>("/documents", {
  body: { text, eviction: { policy: "judge_q", budget: 512 } },
});
console.log(`${document.id}: kept ${document.kept} of ${document.tokens} tokens`);

const [{ id: model } = { id: "" }] = (await client.models.list()).data;
const about = { model, temperature: 0, max_tokens: 40, document: document.id };
const answer = await client.chat.completions.create({
  ...about,
  messages: [{ role: "user", content: "What is this text about?" }],
});
console.log(answer.choices[0]?.message.content);
console.log(`of ${answer.usage?.prompt_tokens} tokens`, answer.usage?.prompt_tokens_details);

const stream = await client.chat.completions.create({
  ...about,
  messages: [{ role: "user", content: "Who is named in it?" }],
  stream: true,
});
for await (const { choices: [choice] } of stream) {
  await Deno.stdout.write(new TextEncoder().encode(choice?.delta.content ?? ""));
}
console.log();
