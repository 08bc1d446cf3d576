/**
 * Asks a question about a document with a small KV cache.
 *
 *     deno run -A examples/quick_start.ts [model] [characters of the document]
 *
 * @module
 */
import { loadModel, snapKv } from "../mod.ts";

const [name = "smollm2-135m-instruct", characters = "Infinity"] = Deno.args;
const file = new URL("./speckled_band.txt", import.meta.url);
const document = (await Deno.readTextFile(file)).slice(0, Number(characters));

// Fetched the first time. A folder, a .gguf file or owner/name on the Hugging Face hub do as well.
await using model = await loadModel(name);

// After reading, each KV head of each layer keeps the 512 tokens that the policy ranks highest.
await using session = model.session({ policy: snapKv(), budget: 512 });

const answer = session.ask(document, "What is the number of the strong-box?", { maxTokens: 32 });
for await (const text of answer) await Deno.stdout.write(new TextEncoder().encode(text));
console.log();

const { promptTokens, bytes } = session.stats();
console.log(`${promptTokens} tokens read, cache ${bytes.before} → ${bytes.after} bytes`);
