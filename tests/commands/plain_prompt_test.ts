import { assert, assertEquals, assertMatch } from "@std/assert";
import { callCli } from "./_call_cli.ts";
import { testFolder, textModel } from "./_run_cli.ts";

/** A model with a tokenizer and no chat template. */
async function baseModel(folder: string, context?: number): Promise<string> {
  const path = await textModel(folder, context);
  await Deno.writeTextFile(`${path}/tokenizer_config.json`, "{}");
  return path;
}

Deno.test("kvjudge generate reads text as it stands where there is no chat template, and says so once", async () => {
  using home = testFolder();
  const env = { KVJUDGE_HOME: home.path };
  const model = ["-m", await baseModel(home.path), "--precision", "fp32"];
  const run = (args: readonly string[]) =>
    callCli(["generate", "--json", "-n", "6", ...model, ...args], { env });
  const [plain, raw] = [await run(["Once upon"]), await run(["--raw", "Once upon"])];
  assertMatch(
    plain.err,
    /^note: \S+text-model has no chat template: the text is read as it stands\n$/,
  );
  assertEquals([plain.code, raw.code, raw.err], [0, 0, ""]);
  const ids = ({ out }: { readonly out: string }) => JSON.parse(out).ids;
  assertEquals(ids(plain), ids(raw));
  const document = `${home.path}/document.txt`;
  await Deno.writeTextFile(document, "A long story. ".repeat(8));
  const cache = `${home.path}/story.cache`;
  const saved = await run(["-f", document, "--save-cache", cache, "Who?"]);
  const asked = await callCli(
    ["generate", "--json", "-n", "6", ...model, "--cache", cache, "Who?"],
    { env },
  );
  assertEquals([saved.code, asked.code, asked.err], [0, 0, ""]);
  assertEquals(saved.err.match(/no chat template/g)?.length, 1);
  assertEquals(ids(asked), ids(saved));
});

Deno.test("kvjudge explain reads a base model's text as it stands, chat refuses it, and so does --system", async () => {
  using home = testFolder();
  const env = { KVJUDGE_HOME: home.path };
  const model = ["-m", await baseModel(home.path), "--precision", "fp32"];
  const shown = await callCli(["explain", "--json", ...model, "Once upon"], { env });
  const raw = await callCli(["explain", "--json", "--raw", ...model, "Once upon"], { env });
  assertEquals([shown.code, shown.out], [0, raw.out]);
  assertMatch(shown.err, /read as it stands/);
  const chat = await callCli(["chat", ...model], { env, stdin: "Hello\n" });
  assertEquals(chat.code, 2);
  assertMatch(
    chat.err,
    /^error: Cannot chat: .*use kvjudge generate, which reads text as it stands/,
  );
  const system = await callCli(["generate", ...model, "--system", "Be brief.", "Hello"], { env });
  assertEquals(system.code, 2);
  assertMatch(system.err, /^error: Cannot use a system message: .*leave out --system.*\n$/);
});

Deno.test("kvjudge generate --in-pieces reads what is longer than the context, and the refusal names it", async () => {
  using home = testFolder();
  const env = { KVJUDGE_HOME: home.path };
  const model = ["-m", await baseModel(home.path, 128), "--precision", "fp32", "--raw"];
  const document = `${home.path}/book.txt`;
  await Deno.writeTextFile(document, "It was a dark and stormy night. ".repeat(20));
  const run = (args: readonly string[]) =>
    callCli(["generate", "--json", "-n", "6", ...model, "-f", document, ...args], { env });
  const snapkv = ["-p", "snapkv(window=8)", "-b", "32"];
  const refused = await run(snapkv);
  assertEquals(refused.code, 2);
  assertMatch(refused.err, /or read it with --in-pieces, with an eviction behind/);
  const whole = await run([]);
  assertMatch(whole.err, /read it with --in-pieces and a --policy that evicts, with an eviction/);
  const read = await run([...snapkv, "--in-pieces", "Who?"]);
  assertEquals([read.code, read.err], [0, ""]);
  const { ids, stats } = JSON.parse(read.out);
  assertEquals(ids.length, 6);
  assert(stats.prompt_tokens > 128, `${stats.prompt_tokens} tokens`);
  assertMatch(stats.notes.join("\n"), /passed the context of 128: they were read in \d+ pieces/);
  const full = await run(["--in-pieces"]);
  assertEquals(full.code, 2);
  assertMatch(
    full.err,
    /^error: Cannot read \d+ tokens in pieces: the model's context is 128 .*policy 'full' evicts nothing; use one that evicts\n$/,
  );
  const short = await run([
    "-p",
    "knorm",
    "-b",
    "16",
    "--in-pieces",
    "--save-cache",
    `${home.path}/c`,
  ]);
  assertEquals([short.code, JSON.parse(short.out).cache.tokens > 128], [0, true]);
});
