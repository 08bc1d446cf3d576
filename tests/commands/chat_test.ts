import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fixture } from "../_test_model.ts";
import { runCli, startCli, testFolder, textModel } from "./_run_cli.ts";

/** Pipes lines into a chat with the random text model. */
async function chat(
  folder: string,
  lines: readonly string[],
  args: readonly string[] = [],
  context = 4096,
) {
  const model = `${folder}/text-model`;
  const known = await Deno.stat(model).then(() => true, () => false);
  if (!known) await textModel(folder, context);
  return await runCli(["chat", "-m", model, "-n", "6", ...args], {
    stdin: lines.map((line) => `${line}\n`).join(""),
    env: { KVJUDGE_HOME: folder },
  });
}

Deno.test("kvjudge chat answers piped lines as generate answers them, and remembers", async () => {
  using folder = testFolder();
  const { code, out, err } = await chat(folder.path, ["Where?", "", "Why?"]);
  assertEquals([code, err], [0, ""]);
  const generate = async (prompt: string) =>
    (await runCli(["generate", "-m", `${folder.path}/text-model`, "-n", "6", "--raw", prompt], {
      env: { KVJUDGE_HOME: folder.path },
    })).out;
  const first = await generate("[user]Where?[assistant]");
  assert(out.startsWith(first), out);
  const answer = first.slice(0, -1);
  const second = await generate(`[user]Where?[assistant]${answer}[user]Why?[assistant]`);
  assertEquals(out, first + second);
});

Deno.test("kvjudge chat shows and sets budget and policy, and evicts by them", async () => {
  using folder = testFolder();
  const { code, out, err } = await chat(folder.path, [
    "/budget",
    "/policy",
    "/policy knorm",
    "/budget 24",
    "word ".repeat(60),
    "/stats",
  ]);
  assertEquals([code, err], [0, ""]);
  const [budget, policy, knorm, tokens] = out.split("\n");
  assertEquals([budget, policy], ["budget: 512 tokens", "policy: full"]);
  assertEquals(knorm, "policy: knorm, from the next turn on");
  assertEquals(tokens, "budget: 24 tokens, from the next turn on");
  assertMatch(out, /kept 24 of \d{2,} tokens/);
  assertMatch(out, /now: \d+ tokens read and answered, 29 held by each head/);
});

Deno.test("kvjudge chat saves, loads and takes back; generate and chat go on with the file", async () => {
  using folder = testFolder();
  const file = `${folder.path}/talk.cache`;
  const settings = ["-p", "knorm", "-b", "24"];
  const said = ["Mill Lane has twelve houses and an inn.", "Where?"];
  const told = await chat(folder.path, [said[0] ?? "", `/save ${file}`, said[1] ?? ""], settings);
  assertEquals([told.code, told.err], [0, ""]);
  const [, , expected = "none"] = told.out.split("\n");
  assertMatch(told.out, /^saved .*talk\.cache: 29 of \d+ tokens/m);
  const undone = await chat(
    folder.path,
    [`/load ${file}`, "Something else?", "/undo", said[1] ?? ""],
    settings,
  );
  assertEquals(undone.err, "");
  assertMatch(undone.out, /^loaded .*: 29 of \d+ tokens\n/);
  assertStringIncludes(undone.out, "\ntook back: Something else?\n");
  assert(undone.out.endsWith(`\n${expected}\n`), undone.out);
  const begun = await chat(folder.path, [said[1] ?? ""], [...settings, "--cache", file]);
  assertEquals(begun.out, `${expected}\n`);
  const model = ["-m", `${folder.path}/text-model`, "-n", "6", "--cache", file];
  const asked = await runCli(["generate", ...model, said[1] ?? ""], {
    env: { KVJUDGE_HOME: folder.path },
  });
  assert(expected.length > 0);
  assertEquals([asked.code, asked.err], [0, ""]);
});

Deno.test("kvjudge chat takes back turns whose text was evicted", async () => {
  using folder = testFolder();
  const turns = ["one ".repeat(30), "two ".repeat(30), "three ".repeat(30)];
  const settings = ["-p", "knorm", "-b", "24"];
  const once = await chat(folder.path, [turns[0] ?? "", turns[2] ?? ""], settings);
  const undone = await chat(
    folder.path,
    [turns[0] ?? "", turns[1] ?? "", turns[1] ?? "", "/undo", "/undo", turns[2] ?? ""],
    settings,
  );
  assertEquals([once.err, undone.err], ["", ""]);
  assertEquals(undone.out.split("\n").at(-2), once.out.split("\n").at(-2));
});

Deno.test("kvjudge chat reads a document at the start and tells what it kept of it", async () => {
  using folder = testFolder();
  const document = `${folder.path}/document.txt`;
  await Deno.writeTextFile(document, "Mill Lane has twelve houses and an inn. ".repeat(20));
  const args = ["-f", document, "-p", "snapkv(window=8)", "-b", "32", "--system", "Be brief."];
  const { code, out, err } = await chat(folder.path, ["/stats", "Where?", "/stats"], args);
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /kept 32 of \d{3} tokens/);
  assertStringIncludes(out, "note: snapkv evicted before the question was known");
  const first = await chat(folder.path, [], ["-f", document, "Where?"]);
  assertEquals([first.code, first.err], [0, ""]);
  assert(first.out.length > 1);
});

Deno.test("kvjudge chat tells mistakes in a sentence and goes on", async () => {
  using folder = testFolder();
  const lines = [
    "/bugdet 5",
    "/budget none",
    "/policy snapvk",
    "/save",
    "/save /nowhere/a.cache",
    "/load /nowhere/a.cache",
    "/undo",
    "x".repeat(5000),
    "//slash",
    "/help",
    "/quit",
    "never read",
  ];
  const { code, out, err } = await chat(folder.path, lines);
  assertEquals(code, 0);
  const errors = err.trimEnd().split("\n");
  const expected = [
    /^error: Unknown command "\/bugdet"\. Did you mean "\/budget"\?/,
    /^error: Cannot use "none" as a budget/,
    /^error: .*'snapvk'; did you mean 'snapkv'\?/,
    /^error: Cannot save without a file/,
    /^error: Cannot save: nothing was read/,
    /^error: Cannot load .*does not exist/,
    /^error: Cannot take a turn back: there is none/,
    /^error: Cannot read \d+ tokens in pieces: .* 4096 tokens/,
  ];
  assertEquals(errors.length, expected.length, err);
  expected.forEach((pattern, index) => assertMatch(errors[index] ?? "", pattern));
  const [answer = ""] = out.split("\n");
  assert(answer.length > 0 && !answer.startsWith("/budget"));
  for (const name of ["budget", "policy", "stats", "save", "load", "undo", "help", "quit"]) {
    assertMatch(out, new RegExp(`^/${name}\\b.*\\w\\)?\\.$`, "m"));
  }
});

Deno.test("kvjudge chat stops an answer at Ctrl-C, not the chat", async () => {
  using folder = testFolder();
  const model = await textModel(folder.path, 100_000);
  const child = startCli(["chat", "-m", model, "-n", "90000"], {
    env: { KVJUDGE_HOME: folder.path },
    stdin: "",
  });
  const writer = child.stdin.getWriter();
  const encode = (text: string) => new TextEncoder().encode(text);
  await writer.write(encode("Where?\n"));
  let text = "";
  let interrupted = false;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (interrupted) continue;
    child.kill("SIGINT");
    interrupted = true;
    await writer.write(encode("/stats\n/quit\n"));
  }
  await writer.close().catch(() => {});
  assertEquals([(await child.status).code, await new Response(child.stderr).text()], [0, ""]);
  assertMatch(text, /now: \d+ tokens read and answered/);
});

const mistakes: readonly [string, string[], RegExp][] = [
  ["raw text", ["--raw"], /Cannot chat with raw text or token ids/],
  ["a document from standard input", ["-f", "-"], /from standard input: a chat is typed there/],
  ["a cache beside a document", ["-f", "a", "--cache", "b"], /"--cache"/],
  [
    "a model without a chat template",
    ["-m", fixture("tiny-llama")],
    /Cannot chat: .*no chat template/,
  ],
  ["a cache that is not there", ["--cache", "no/such.cache"], /no\/such\.cache: it does not exist/],
];

for (const [what, args, message] of mistakes) {
  Deno.test(`kvjudge chat refuses ${what} in one sentence`, async () => {
    using folder = testFolder();
    const model = args.includes("-m") ? [] : ["-m", await textModel(folder.path)];
    const { code, out, err } = await runCli(["chat", ...model, ...args], {
      stdin: "Where?\n",
      env: { KVJUDGE_HOME: folder.path },
    });
    assertEquals([code, out], [2, ""]);
    assertMatch(err, /^error: [^\n]+\n(hint: [^\n]+\n)?$/);
    assertMatch(err, message);
  });
}

Deno.test("kvjudge chat talks on and on, far beyond the context, and reads a document longer than it", async () => {
  using folder = testFolder();
  const document = `${folder.path}/long.txt`;
  await Deno.writeTextFile(
    document,
    "The inn of Mill Lane has twelve rooms and one cook. ".repeat(40),
  );
  const lines = Array.from({ length: 20 }, (_, turn) => `Question ${turn}: who cooks, and where?`);
  const { code, out, err } = await chat(
    folder.path,
    [...lines, "/stats", "/undo", "/undo", "One more?"],
    ["-p", "snapkv(window=8)", "-b", "96", "-f", document, "--system", "Be brief."],
    256,
  );
  assertEquals([code, err], [0, ""]);
  const [, tokens = "0", held = ""] = /now: (\d+) tokens.*, (\d+) held/.exec(out) ?? [];
  assert(Number(tokens) > 4 * 256, out);
  assert(Number(held) <= 96 + 6, held);
  assertMatch(out, /note: the model's context was full \d+ times/);
  assertMatch(out, /took back: Question 19.*\ntook back: Question 18/);
});

Deno.test("kvjudge chat with everything kept says how to go on where the context is full", async () => {
  using folder = testFolder();
  const lines = Array.from({ length: 16 }, (_, turn) => `Question ${turn}: who cooks, and where?`);
  const { code, out, err } = await chat(
    folder.path,
    [...lines, "/policy knorm", "/budget 64", "And now?", "/stats"],
    [],
    256,
  );
  assertEquals(code, 0);
  const errors = err.trimEnd().split("\n");
  assert(errors.length > 1);
  for (const error of errors) {
    assertMatch(error, /^error: Cannot append .* context is 256 tokens .*'full' evicts nothing/);
  }
  assertMatch(out, /note: the model's context was full once/);
});
