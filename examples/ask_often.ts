/**
 * Reads a document once, keeps a small cache of it in a file, and asks that several questions.
 *
 *     deno run -A examples/ask_often.ts [model] [characters of the document]
 *
 * @module
 */
import { keyDiff, loadModel } from "../mod.ts";

const [name = "smollm2-135m-instruct", characters = "Infinity"] = Deno.args;
const file = new URL("./speckled_band.txt", import.meta.url);
const document = (await Deno.readTextFile(file)).slice(0, Number(characters));
const path = await Deno.makeTempFile({ suffix: ".cache" });
const print = (text: string) => Deno.stdout.write(new TextEncoder().encode(text));

await using model = await loadModel(name);

// The questions are not known yet: a policy that needs no queries loses the least by that.
const options = { policy: keyDiff(), budget: 512 };
{
  await using session = model.session(options);
  await session.read({ document });
  const { bytes, tokens } = await session.save(path);
  console.log(`${tokens} tokens read, ${bytes} bytes saved`);
}

// Another day, another process: nothing is read again but the questions.
await using session = model.session(options);
await session.load(path);
for (const question of ["Who is Helen Stoner?", "Where is Stoke Moran?", "Who has a cheetah?"]) {
  await print(`\n${question}\n`);
  for await (const text of session.ask(question, { maxTokens: 32 })) await print(text);
  await print("\n");
}
console.log(`\n${session.stats().prefilled} tokens read for the questions`);

// A question that is appended stays, and so does its answer: a conversation.
await session.append({ messages: [{ role: "user", content: "Summarise the case." }] });
for await (const text of session.generate({ maxTokens: 32 })) await print(text);
await print("\n");
await Deno.remove(path);
