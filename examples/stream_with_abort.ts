/**
 * Streams an answer and stops it: after a number of characters, or on Ctrl-C.
 *
 *     deno run -A examples/stream_with_abort.ts [model] [characters of the document] [of the answer]
 *
 * @module
 */
import { loadModel, streamingLlm } from "../mod.ts";

const [name = "smollm2-135m-instruct", characters = "6000", limit = "80"] = Deno.args;
const file = new URL("./speckled_band.txt", import.meta.url);
const document = (await Deno.readTextFile(file)).slice(0, Number(characters));

// One signal for everything: fetching the model, reading the document, writing the answer.
const controller = new AbortController();
const stop = () => controller.abort();
Deno.addSignalListener("SIGINT", stop);
const { signal } = controller;

await using model = await loadModel(name, { signal });
await using session = model.session({ policy: streamingLlm(), budget: 256 });
const answer = session.ask(document, "Summarise the text.", { signal, maxTokens: 200 });
for await (const text of answer) {
  await Deno.stdout.write(new TextEncoder().encode(text));
  if (answer.text.length >= Number(limit)) stop();
}
Deno.removeSignalListener("SIGINT", stop);

// An aborted answer is no error: what was written stays, and the reason says how it ended.
console.log(`\n${answer.ids.length} tokens, ended by: ${answer.finishReason}`);
