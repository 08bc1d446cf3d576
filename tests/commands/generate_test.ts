import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { openGolden } from "../runtime/_golden_file.ts";
import { fixture } from "../_test_model.ts";
import { callCli } from "./_call_cli.ts";
import { type CliOptions, startCli, testFolder, textModel } from "./_run_cli.ts";

interface Answer {
  readonly ids: number[];
  readonly text: string;
  readonly finish_reason: string;
  readonly stats: {
    readonly policy: string;
    readonly prompt_tokens: number;
    readonly kept: number[][];
    readonly bytes: Readonly<Record<string, number>>;
    readonly times: Readonly<Record<string, number>>;
    readonly steps: number;
    readonly held: number[];
    readonly read_evictions: number;
    readonly decode_evictions: number;
    readonly notes: string[];
  };
}

/** Runs `generate --json`, which must succeed without a word on standard error. */
async function answer(args: readonly string[], options: CliOptions): Promise<Answer> {
  const { code, out, err } = await callCli(["generate", "--json", ...args], options);
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /^\{.*\}\n$/);
  return JSON.parse(out);
}

Deno.test("kvjudge generate --ids-file continues token ids as other implementations do", async () => {
  using home = testFolder();
  const golden = openGolden("tiny-llama");
  const ids = `${home.path}/ids.json`;
  await Deno.writeTextFile(ids, JSON.stringify(golden.integers("input_ids")));
  const model = ["-m", fixture("tiny-llama"), "--ids-file", ids, "--precision", "fp32"];
  const env = { KVJUDGE_HOME: home.path };
  const whole = await answer([...model, "-n", "16"], { env });
  const greedy = golden.integers("greedy");
  assertEquals(whole.ids, greedy.slice(0, greedy.indexOf(1)));
  assertEquals([whole.text, whole.finish_reason], ["", "stop"]);
  assertEquals(whole.stats.policy, "full");
  assertEquals(whole.stats.prompt_tokens, 96);
  const evicted = await answer(
    [...model, "-p", "SnapKV", "--options", '{"window": 8}', "-b", "24", "-n", "4"],
    { env },
  );
  assertEquals([evicted.ids.length, evicted.finish_reason], [4, "length"]);
  assertEquals(evicted.stats.kept, [[24, 24], [24, 24], [24, 24]]);
  assertEquals(Object.keys(evicted.stats.bytes), ["before", "after", "now"]);
  assertEquals(
    Object.keys(evicted.stats.times),
    ["prefill", "evidence", "selection", "compaction", "decode"],
  );
  assertEquals(evicted.stats.steps, 3);
});

Deno.test("kvjudge generate evicts while it writes, if the policy's expression says so", async () => {
  using home = testFolder();
  const options = {
    stdin: JSON.stringify(openGolden("tiny-llama").integers("input_ids")),
    env: { KVJUDGE_HOME: home.path },
  };
  const written = (policy: string) => ["-p", policy, "-b", "32", "-n", "50", "--temperature", "1"];
  const model = ["-m", fixture("tiny-llama"), "--ids-file", "-"];
  const policy = "while_decoding(judge_q(window=4),every=8,target=24)";
  const { ids, finish_reason, stats } = await answer(
    [...model, ...written(policy), "--seed", "1"],
    options,
  );
  assert(ids.length > 16, `${ids.length}`);
  // The token that ends an answer is none of its ids, but the one before it was read.
  assertEquals(stats.steps, ids.length - (finish_reason === "stop" ? 0 : 1));
  assertEquals(stats.decode_evictions, Math.floor(stats.steps / 8));
  assertEquals(stats.held, new Array(3).fill(24 + stats.steps % 8));
  const reading = "while_reading(knorm,every=8,keep=40)";
  const pieces = await answer([...model, "-p", reading, "-b", "32", "-n", "1"], options);
  assertEquals([pieces.stats.read_evictions, pieces.stats.held], [6, [32, 32, 32]]);
  const bad = "while_decoding(snapkv,every=8,target=24)";
  const { code, err } = await callCli(["generate", ...model, ...written(bad)], options);
  assertEquals(code, 2);
  assertMatch(err, /^[^\n]*it always keeps 32 tokens, more than a target of 24[^\n]*\n$/);
});

Deno.test("kvjudge generate takes a budget in tokens, as a ratio and in bytes", async () => {
  using home = testFolder();
  const ids = JSON.stringify(openGolden("tiny-llama").integers("input_ids"));
  const args = ["-m", fixture("tiny-llama"), "--ids-file", "-", "-p", "knorm", "-n", "1"];
  const kept = async (budget: string) => {
    const options = { stdin: ids, env: { KVJUDGE_HOME: home.path } };
    return (await answer([...args, "--budget", budget], options)).stats.kept[0]?.[0];
  };
  assertEquals(await kept("30"), 30);
  assertEquals(await kept("0.25"), 24);
  // 3 layers × 2 heads × (16 + 16 numbers and a position) × 4 bytes = 792 bytes a token.
  assertEquals(await kept("16KB"), 20);
});

Deno.test("kvjudge generate passes options on to the policy, by either spelling of its name", async () => {
  using home = testFolder();
  const ids = JSON.stringify(openGolden("tiny-llama").integers("input_ids"));
  const args = ["-m", fixture("tiny-llama"), "--ids-file", "-", "-b", "8", "-n", "1"];
  const options = { stdin: ids, env: { KVJUDGE_HOME: home.path } };
  const { stats } = await answer(
    [...args, "-p", "streaming-llm", "--options", '{"sinks": 2}'],
    options,
  );
  assertEquals(stats.policy, "streaming_llm");
  const refused = await callCli(
    ["generate", ...args, "-p", "streaming_llm", "--options", '{"sink": 2}'],
    options,
  );
  assertEquals(refused.code, 2);
  assertMatch(refused.err, /^error: .*no option 'sink'; did you mean 'sinks'\?.*\n$/);
});

Deno.test("kvjudge generate streams text that is the text of --json, and ends its line", async () => {
  using home = testFolder();
  const model = await textModel(home.path);
  const document = `${home.path}/document.txt`;
  await Deno.writeTextFile(document, "Mill Lane has twelve houses.\n");
  const options = { env: { KVJUDGE_HOME: home.path } };
  const args = ["-m", model, "-n", "12", "--prompt-file", document, "How many houses?"];
  const { code, out, err } = await callCli(["generate", ...args], options);
  assertEquals([code, err], [0, ""]);
  const { text, ids } = await answer(args, options);
  assert(ids.length > 0);
  assertEquals(out, text.endsWith("\n") ? text : `${text}\n`);
});

Deno.test("kvjudge generate reads the same prompt from a file, standard input and words", async () => {
  using home = testFolder();
  const model = await textModel(home.path);
  const text = "Twelve houses.";
  const file = `${home.path}/prompt.txt`;
  await Deno.writeTextFile(file, text);
  const options = { env: { KVJUDGE_HOME: home.path } };
  const args = ["-m", model, "-n", "4"];
  const given = await answer([...args, text], options);
  assertEquals((await answer([...args, "-f", file], options)).ids, given.ids);
  for (const dash of [[], ["-"], ["-f", "-"]]) {
    const piped = await answer([...args, ...dash], { ...options, stdin: text });
    assertEquals([dash, piped.ids], [dash, given.ids]);
  }
  const behind = await answer([...args, "--", "--twelve"], options);
  assertEquals(behind.stats.prompt_tokens > 0, true);
});

Deno.test("kvjudge generate uses the chat template unless --raw, with the system message", async () => {
  using home = testFolder();
  const model = await textModel(home.path);
  const options = { env: { KVJUDGE_HOME: home.path } };
  const tokens = async (...args: string[]) =>
    (await answer(["-m", model, "-n", "1", ...args], options)).stats.prompt_tokens;
  const raw = await tokens("--raw", "Twelve");
  const chat = await tokens("Twelve");
  const system = await tokens("--system", "Be brief.", "Twelve");
  assert(raw < chat && chat < system, `${raw}, ${chat}, ${system}`);
  assertEquals(await tokens("--raw", "[user]Twelve[assistant]"), chat);
});

Deno.test("kvjudge generate --seed makes sampling repeatable", async () => {
  using home = testFolder();
  const model = await textModel(home.path);
  const options = { env: { KVJUDGE_HOME: home.path } };
  const sample = async (seed: string) => {
    const flags = ["--temperature", "1.5", "--top-k", "200", "--top-p", "0.99", "--min-p", "0.001"];
    const { ids } = await answer(
      ["-m", model, "-n", "12", ...flags, "--repetition-penalty", "1.1", "--seed", seed, "Twelve"],
      options,
    );
    return ids;
  };
  assertEquals(await sample("7"), await sample("7"));
  assertNotEquals(await sample("7"), await sample("8"));
});

Deno.test("kvjudge generate --stop ends the answer before the text", async () => {
  using home = testFolder();
  const model = await textModel(home.path);
  const options = { env: { KVJUDGE_HOME: home.path } };
  const args = ["-m", model, "-n", "40", "Twelve"];
  const { text } = await answer(args, options);
  const stop = text.slice(5, 8);
  assert(stop.length === 3, "the answer is too short to stop in");
  const stopped = await answer([...args, "--stop", "no such text", "--stop", stop], options);
  assertEquals(stopped.text, text.slice(0, text.indexOf(stop)));
  assertEquals(stopped.finish_reason, "stop");
});

Deno.test("kvjudge generate writes text as it is made and keeps it when Ctrl-C stops it", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 100_000);
  const env = { KVJUDGE_HOME: home.path };
  const child = startCli(["generate", "-m", model, "-n", "90000", "Twelve"], { env });
  const chunks: Uint8Array[] = [];
  for await (const chunk of child.stdout) {
    if (chunks.length === 0) child.kill("SIGINT");
    chunks.push(chunk);
  }
  const { code } = await child.status;
  assertEquals(await new Response(child.stderr).text(), "");
  assertEquals(code, 130);
  const text = await new Blob(chunks.map((chunk) => new Uint8Array(chunk))).text();
  assert(text.trim() !== "" && text.endsWith("\n"), JSON.stringify(text));
});

Deno.test("kvjudge generate ends quietly when nobody reads its output", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 100_000);
  const env = { KVJUDGE_HOME: home.path };
  const child = startCli(["generate", "-m", model, "-n", "90000", "Twelve"], { env });
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  assertEquals(await new Response(child.stderr).text(), "");
  assertEquals((await child.status).code, 0);
});

const mistakes: readonly [string, string[], RegExp, string?][] = [
  ["an empty question", [""], /Cannot read an empty prompt: give a question/],
  ["empty standard input", [], /Cannot read an empty prompt/, ""],
  ["blank standard input", ["-"], /Cannot read an empty prompt/, " \n"],
  [
    "a question about an empty file",
    ["-f", "/dev/null", "Why?"],
    /ask about \/dev\/null: it is empty/,
  ],
  ["a question about nothing", ["-f", "-", "Why?"], /ask about standard input: it is empty/, " \n"],
  [
    "a prompt file that is not there",
    ["-f", "no/such.txt"],
    /from no\/such\.txt: there is no such/,
  ],
  ["a prompt file that is a folder", ["-f", "."], /from \.: it is a folder/],
  [
    "an ids file that is not there",
    ["--ids-file", "no.json"],
    /Cannot read token ids from no\.json/,
  ],
  [
    "ids that are not JSON",
    ["--ids-file", "-"],
    /--ids-file must hold a JSON array.*"1, 2"/,
    "1, 2",
  ],
  ["ids that are no array", ["--ids-file", "-"], /JSON array.*something else/, '{"ids": []}'],
  ["ids that are no ids", ["--ids-file", "-"], /entry 1 is "b"/, '[1, "b"]'],
  ["ids beside a question", ["--ids-file", "-", "Why?"], /question beside --ids-file/, "[1]"],
  [
    "options that are not JSON",
    ["--options", "{window: 3}", "x"],
    /--options must be a JSON object/,
  ],
  ["options that are no object", ["--options", "[1]", "x"], /JSON object.*got \[1\]/],
  ["an unknown policy", ["-p", "snapvk", "x"], /'snapvk'; did you mean 'snapkv'\?/],
  ["a working budget too small", ["-p", "while_reading(snapkv,keep=8)", "x"], /always keeps 32/],
  ["a budget of nothing", ["-b", "0", "x"], /Cannot use 0 tokens as a budget/],
  ["a negative budget", ["-b", "-5", "x"], /Cannot use -5 tokens as a budget/],
  ["a budget that is no number", ["-b", "NaN", "x"], /Cannot use "NaN" as a budget/],
  ["a negative temperature", ["--temperature=-1", "x"], /--temperature must be at least 0, got -1/],
  ["no tokens to make", ["-n", "0", "x"], /at least 1, got 0/],
  ["a model that is not there", ["-m", "./no-model", "x"], /Cannot open \.\/no-model/],
  ["stdin twice", ["-f", "-", "-"], /both the document and the question from standard input/, "x"],
];

for (const [what, args, message, stdin] of mistakes) {
  Deno.test(`kvjudge generate refuses ${what} in one sentence`, async () => {
    const options = stdin === undefined ? {} : { stdin };
    const { code, out, err } = await callCli(["generate", ...args], options);
    assertEquals([code, out], [2, ""]);
    assertMatch(err, /^error: [^\n]+\n$/);
    assertMatch(err, message);
  });
}

Deno.test("kvjudge generate refuses a prompt that is not text", async () => {
  const { code, err } = await callCli(["generate", "-"], {
    stdin: new Uint8Array([0xff, 0xfe, 0x80]),
  });
  assertEquals(code, 2);
  assertEquals(err, "error: Cannot read the prompt from standard input: it is not UTF-8 text\n");
});

Deno.test("kvjudge generate refuses text where the checkpoint has no tokenizer", async () => {
  using home = testFolder();
  const { code, err } = await callCli(["generate", "-m", fixture("tiny-llama"), "Why?"], {
    env: { KVJUDGE_HOME: home.path },
  });
  assertEquals(code, 2);
  assertMatch(err, /^error: [^\n]*tokenizer[^\n]*\n$/);
});

Deno.test("kvjudge generate --save-cache reads a document once, --cache asks it token for token", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 4096);
  const document = `${home.path}/document.txt`;
  const cache = `${home.path}/document.cache`;
  await Deno.writeTextFile(document, "Mill Lane has twelve houses and an inn.\n".repeat(20));
  const env = { KVJUDGE_HOME: home.path };
  const args = ["-m", model, "-n", "6"];
  const read = ["-f", document, "-p", "knorm", "-b", "40", "--save-cache", cache];
  const both = await answer([...args, ...read, "How many houses?"], { env });
  const size = (await Deno.stat(cache)).size;
  // 2 layers × 2 heads × (8 + 8 numbers and a position) × 4 bytes, 40 times, and the text.
  assert(size > 40 * 272, `${size}`);
  const asked = await answer([...args, "--cache", cache, "How many houses?"], { env });
  assertEquals([asked.ids, asked.text], [both.ids, both.text]);
  assertEquals(asked.stats.kept, both.stats.kept);
  const piped = await answer([...args, "--cache", cache], { env, stdin: "How many houses?\n" });
  assertEquals(piped.ids, both.ids);
  const { prefilled, prompt_tokens } = asked.stats as unknown as Record<string, number>;
  assert((prefilled ?? NaN) < 40 && (prompt_tokens ?? NaN) > 200, `${prefilled}, ${prompt_tokens}`);
  await Deno.remove(cache);
  const saved = await callCli(["generate", ...args, ...read], { env });
  assertEquals(saved, { code: 0, out: "", err: "" });
  assertEquals(
    (await answer([...args, "--cache", cache, "How many houses?"], { env })).ids,
    both.ids,
  );
  const narrow = ["--cache-precision", "int8"];
  const rounded = await answer([...args, ...read, ...narrow, "How many houses?"], { env });
  assert((await Deno.stat(cache)).size < size - 40 * 272 / 3);
  const loaded = await answer([...args, ...narrow, "--cache", cache, "How many houses?"], { env });
  assertEquals(loaded.ids, rounded.ids);
  await answer([...args, ...read, "How many houses?"], { env });
  const unasked = await callCli(["generate", ...args, "--cache", cache], { env });
  assertEquals([unasked.code, unasked.out], [2, ""]);
  assertMatch(unasked.err, /^error: Cannot answer a document without a question: [^\n]+\n$/);
});

Deno.test("kvjudge generate --save-cache and --cache go on with raw text and token ids", async () => {
  using home = testFolder();
  const model = await textModel(home.path, 4096);
  const cache = `${home.path}/text.cache`;
  const file = `${home.path}/text.txt`;
  await Deno.writeTextFile(file, "Mill Lane has twelve houses.\n");
  const env = { KVJUDGE_HOME: home.path };
  const args = ["-m", model, "-n", "6"];
  await answer([...args, "--raw", "-f", file, "--save-cache", cache], { env });
  const asked = await answer([...args, "--cache", cache, "How many?"], { env });
  const once = await answer([...args, "--raw", "-f", file, "How many?"], { env });
  assertEquals(asked.ids, once.ids);
  await answer([...args, "--ids-file", "-", "--save-cache", cache], { env, stdin: "[5, 6, 7]" });
  const more = await answer([...args, "--cache", cache], { env });
  const ids = await answer([...args, "--ids-file", "-"], { env, stdin: "[5, 6, 7]" });
  assertEquals(more.ids, ids.ids);
});

const savingMistakes: readonly [string, string[], RegExp][] = [
  ["a cache without a document", ["--save-cache", "x.cache", "Why?"], /without a document/],
  [
    "a place that is not there",
    ["-f", "deno.json", "--save-cache", "no/such/x.cache"],
    /Cannot write no\/such\/x\.cache: its folder does not exist/,
  ],
  [
    "a folder as the place",
    ["-f", "deno.json", "--save-cache", "docs"],
    /Cannot write docs: it is a folder; give/,
  ],
  [
    "a cache that is not there",
    ["--cache", "no.cache", "Why?"],
    /no\.cache: it does not exist; give one/,
  ],
  [
    "a cache that is none",
    ["--cache", "deno.json", "Why?"],
    /deno\.json: its header claims .*; give one/,
  ],
  ["both", ["--cache", "a", "--save-cache", "b"], /"--(save-)?cache"/],
  ["a cache beside a document", ["--cache", "a", "-f", "b", "x"], /"--cache"/],
  ["an empty question to a cache", ["--cache", "a", " "], /Cannot ask an empty question/],
];

for (const [what, args, message] of savingMistakes) {
  Deno.test(`kvjudge generate refuses ${what} before it loads a model`, async () => {
    const { code, out, err } = await callCli(["generate", "-m", "./no-model", ...args]);
    assertEquals([code, out], [2, ""]);
    assertMatch(err, /^error: [^\n]+\n(hint: [^\n]+\n)?$/);
    assertMatch(err, message);
  });
}
