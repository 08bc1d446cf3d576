import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { readConversations } from "../../../training/data/conversations.ts";
import type { ConversationSet } from "../../../training/data/example.ts";
import { TrainingError } from "../../../training/errors.ts";
import { withFolder } from "../../_temp_folder.ts";

async function read(content: string | Uint8Array, name = "data.json"): Promise<ConversationSet> {
  const found: ConversationSet[] = [];
  await withFolder(async (folder) => {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await Deno.writeFile(`${folder}/${name}`, bytes);
    found.push(await readConversations(`${folder}/${name}`));
  });
  const [set] = found;
  assert(set);
  return set;
}

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });
const shareGpt = (...values: string[]) => ({
  conversations: values.map((value, index) => ({ from: index % 2 ? "gpt" : "human", value })),
});

Deno.test("readConversations() reads every form to the same example", async () => {
  const forms = [
    shareGpt("Why?", "Because."),
    { conversations: [{ from: "user", value: "Why?" }, { from: "assistant", value: "Because." }] },
    { messages: [user("Why?"), assistant("Because.")] },
    {
      messages: [
        { role: "user", content: [{ type: "text", text: "Wh" }, { type: "text", text: "y?" }] },
        assistant("Because."),
      ],
    },
    { prompt: "Why?", response: "Because." },
    { prompt: "Why?", completion: "Because." },
    { instruction: "Why?", input: "", output: "Because." },
  ];
  const { examples, skipped } = await read(JSON.stringify(forms));
  assertEquals(skipped, []);
  assertEquals(examples.length, forms.length);
  for (const { messages, response, kind } of examples) {
    assertEquals({ messages, response, kind }, {
      messages: [user("Why?")],
      response: "Because.",
      kind: "general",
    });
  }
});

Deno.test("readConversations() ends the prompt with the last user turn", async () => {
  const { examples } = await read(JSON.stringify([
    shareGpt("one", "two", "three", "four"),
    shareGpt("one", "two", "three"),
    { messages: [{ role: "system", content: "Be brief." }, user("Hi")] },
    { instruction: "Add.", input: "1 and 2" },
  ]));
  assertEquals(examples.map(({ messages, response }) => [messages, response]), [
    [[user("one"), assistant("two"), user("three")], "four"],
    [[user("one"), assistant("two"), user("three")], undefined],
    [[{ role: "system", content: "Be brief." }, user("Hi")], undefined],
    [[user("Add.\n\n1 and 2")], undefined],
  ]);
});

Deno.test("readConversations() cuts end markers off turns, and only there", async () => {
  const { examples } = await read(JSON.stringify([
    shareGpt("a <|im_end|> b", "x <|endoftext|>", "c", "y  </s>\n<|endoftext|>\n"),
    shareGpt("  keeps  ", "white space \n"),
  ]));
  assertEquals(examples[0]?.messages, [user("a <|im_end|> b"), assistant("x"), user("c")]);
  assertEquals(examples[0]?.response, "y");
  assertEquals(examples[1]?.messages, [user("  keeps  ")]);
  assertEquals(examples[1]?.response, "white space \n");
});

Deno.test("readConversations() skips broken records and says why and where", async () => {
  const broken: [unknown, string][] = [
    [3, "it is not a JSON object"],
    [null, "it is not a JSON object"],
    [[], "it is not a JSON object"],
    [{ text: "x" }, "it has none of conversations, messages, prompt and instruction"],
    [{ conversations: "x" }, "its turns are not a list"],
    [{ conversations: [] }, "it has no user turn"],
    [{ messages: [{ role: "system", content: "x" }] }, "it has no user turn"],
    [{ messages: ["x"] }, "turn 1 is not an object"],
    [{ messages: [{ content: "x" }] }, "turn 1 has no role"],
    [
      { messages: [user("x"), { role: "tool", content: "x" }] },
      'turn 2 has the unknown role "tool"',
    ],
    [{ messages: [{ role: "user", content: 4 }] }, "turn 1 is not text"],
    [{ messages: [{ role: "user", content: [{ type: "image_url" }] }] }, "turn 1 is not text"],
    [shareGpt("x", ""), "turn 2 is empty"],
    [shareGpt("x", "<|endoftext|>"), "turn 2 is empty"],
    [shareGpt(" \n"), "turn 1 is empty"],
    [{ messages: [assistant("x")] }, "turn 1 is of role assistant, which is out of order"],
    [{ messages: [user("x"), user("y")] }, "turn 2 is of role user, which is out of order"],
    [
      { messages: [user("x"), { role: "system", content: "y" }] },
      "turn 2 is of role system, which is out of order",
    ],
    [
      { messages: [user("x"), assistant("y"), assistant("z")] },
      "turn 3 is of role assistant, which is out of order",
    ],
    [{ prompt: ["x"] }, "its prompt is not text"],
    [{ prompt: "" }, "its prompt is empty"],
    [{ prompt: "x", response: 4 }, "its answer is not text"],
    [{ prompt: "x", response: "" }, "its answer is empty"],
    [{ instruction: 4 }, "its instruction is not text"],
    [{ prompt: "x", later: 4 }, "what is said later is not text"],
    [{ prompt: "x", begun: 1 }, "the beginning of its answer is not text"],
    [{ messages: [user("x")], later: " " }, "what is said later is empty"],
    [{ instruction: "x", input: 4 }, "its input is not text"],
  ];
  const records = [...broken.map(([record]) => record), { prompt: "good", response: null }];
  const reasons = broken.map(([, reason], index) => ({
    record: index + 1,
    line: index + 1,
    reason,
  }));
  const lines = records.map((record) => JSON.stringify(record)).join("\n");
  for (const name of ["data.jsonl", "data.ndjson"]) {
    const { examples, skipped } = await read(lines, name);
    assertEquals(skipped, reasons);
    assertEquals(examples.map(({ messages, line }) => [messages, line]), [
      [[user("good")], records.length],
    ]);
  }
  const array = `[${records.map((record) => JSON.stringify(record)).join(",\n")}]`;
  assertEquals((await read(array)).skipped, reasons);
});

Deno.test("readConversations() tells formats by content where it can", async () => {
  const record = JSON.stringify({ prompt: "Hi" });
  const contents = [
    `${record}\n${record}\n`,
    `\uFEFF${record}\r\n\r\n${record}`,
    `[${record},${record}]`,
    `\n [\n${record},\n${record}]\n`,
    '{\n  "prompt": "Hi"\n}\n{\n  "prompt": "Hi"\n}\n',
    '{"messages": [\n{"role": "user", "content": "Hi"}]}\n{"prompt": "Hi"}',
  ];
  for (const content of contents) {
    for (const name of ["data.json", "data", "data.txt"]) {
      const { examples, skipped } = await read(content, name);
      assertEquals([examples.length, skipped], [2, []], `${name}: ${content}`);
      for (const { messages } of examples) assertEquals(messages, [user("Hi")]);
    }
  }
  assertEquals((await read(`[${record},${record}]`, "data.jsonl")).examples.length, 2);
  const [illustrated] = (await read("[Illustration]\n\nText.", "book.txt")).examples;
  assertEquals(illustrated?.messages, [user("[Illustration]\n\nText.")]);
});

Deno.test("readConversations() gives the records before and after a break in an array", async () => {
  const good = (name: string) => JSON.stringify({ prompt: name }, undefined, 2);
  const prompts = ({ examples }: ConversationSet) =>
    examples.map(({ messages }) => messages[0]?.content);
  const whole = JSON.stringify(["a", "b", "c"].map((prompt) => ({ prompt })), undefined, 2);
  const cut = await read(whole.slice(0, whole.indexOf('"c"') + 2));
  assertEquals(prompts(cut), ["a", "b"]);
  assertEquals(cut.skipped, [{ record: 3, line: 8, reason: "the text ends in the middle of it" }]);
  const between = await read(`[\n${good("a")},\n`);
  assertEquals(prompts(between), ["a"]);
  assertEquals(between.skipped, [
    { record: 2, line: 5, reason: "the text ends before the array does" },
  ]);
  const breaks = [
    '{"prompt": "lost,',
    '{"prompt": ["lost"}',
    '{"prompt": "lost"',
    '{"prompt": lost}',
  ];
  for (const broken of breaks) {
    const set = await read(`[\n{"prompt": "a"},\n${broken},\n{"prompt": "b"},\n{"prompt": "c"}\n]`);
    assertEquals(prompts(set), ["a", "b", "c"], broken);
    assertEquals(set.skipped.map(({ line }) => line), [3], broken);
  }
});

Deno.test("readConversations() counts lines in an indented array", async () => {
  const records = [{ prompt: "a" }, { prompt: 1 }, { prompt: "c" }];
  const { examples, skipped } = await read(JSON.stringify(records, undefined, 2));
  assertEquals(examples.map(({ line }) => line), [2, 8]);
  assertEquals(skipped.map(({ line }) => line), [5]);
});

Deno.test("readConversations() tells code from text", async () => {
  const program =
    "def f(x):\n    if x:\n        return 1\n    return 2\n\nprint(f(3))\nimport os\ndef g():";
  const code = [
    { ...shareGpt("Sort a list.", "Call sort()."), source: "codegen" },
    { ...shareGpt("Sort a list.", "Call sort()."), id: "my-coding-3" },
    shareGpt("Explain:\n```\nx = 1\n```", "It sets x."),
    shareGpt("Reverse a text in C.", "int main() {\n  reverse(text);\n  return 0;\n}"),
    shareGpt(program, "It is fine."),
  ];
  const general = [
    { ...shareGpt("What is encoded here?", "Nothing."), source: "encoded" },
    shareGpt("Give a list;\nwith several lines,\nof words", "a;\nb"),
    shareGpt("Tell me about classes of ships.\nReturn soon.", "For a start, there are many."),
  ];
  const { examples } = await read(JSON.stringify([...code, ...general]));
  assertEquals(examples.map(({ kind }) => kind), [
    ...code.map(() => "code"),
    ...general.map(() => "general"),
  ]);
});

Deno.test("readConversations() gathers the paragraphs of plain text", async () => {
  const paragraph = (name: string) => `${name} `.repeat(40).trim();
  const text = ["\n\na", paragraph("b"), paragraph("c"), "d"].join("\n \r\n\n");
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/book.txt`, text);
    const { examples } = await readConversations(`${folder}/book.txt`, { promptCharacters: 100 });
    assertEquals(examples.map(({ messages, line }) => [messages[0]?.content, line]), [
      [`a\n\n${paragraph("b")}`, 3],
      [`${paragraph("c")}\n\nd`, 9],
    ]);
    assertEquals(examples.some(({ response }) => response !== undefined), false);
  });
});

Deno.test("readConversations() cuts long paragraphs between words, never within a character", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/long.txt`, "word ".repeat(1000) + "😀".repeat(100));
    const { examples } = await readConversations(`${folder}/long.txt`, { promptCharacters: 63 });
    const texts = examples.map(({ messages }) => messages[0]?.content ?? "");
    assert(texts.every((text) => text.length <= 64 && text.isWellFormed()));
    assertEquals(texts.join("").replaceAll(/\s/g, ""), "word".repeat(1000) + "😀".repeat(100));
    assert(texts.slice(0, 80).every((text) => /^word( word)*$/.test(text)));
  });
});

Deno.test("readConversations() gives the SHA-256 of the file", async () => {
  const text = '{"prompt": "Hi"}';
  assertEquals((await read(text)).hash, createHash("sha256").update(text).digest("hex"));
});

Deno.test("readConversations() keeps a file with a stray byte", async () => {
  const bytes = new TextEncoder().encode(`{"prompt": "${"caf? ".repeat(20)}"}`);
  bytes[15] = 0xe9;
  assertMatch((await read(bytes)).examples[0]?.messages[0]?.content ?? "", /^caf\uFFFD caf\?/);
});

Deno.test("readConversations() refuses files that hold no conversations in one sentence", async () => {
  const refused = async (content: string | Uint8Array, message: RegExp, name?: string) => {
    const error = await assertRejects(() => read(content, name), TrainingError);
    assertMatch(error.message, message);
    assert(!error.message.includes("\n"));
  };
  await refused("", /is empty/);
  await refused(" \n\n", /is empty/);
  await refused(Uint8Array.of(1, 2, 0, 4), /not UTF-8 text/);
  await refused(Uint8Array.from({ length: 999 }, (_, i) => 128 + (i % 128)), /not UTF-8 text/);
  await refused("[]", /holds no record/);
  await refused(
    "no json\nat all\n",
    /record 1 in line 1: it is not valid JSON.*record 2 in line 2/,
  );
  await refused(
    JSON.stringify([1, 2, 3, 4, 5]),
    /record 3 in line 1: it is not a JSON object; 2 more\)/,
  );
  await refused('[{"prompt": "x', /the text ends in the middle of it|not valid JSON/);
  await withFolder(async (folder) => {
    const missing = () => readConversations(`${folder}/none.json`);
    assertMatch((await assertRejects(missing, TrainingError)).message, /does not exist/);
    const directory = () => readConversations(folder);
    assertMatch((await assertRejects(directory, TrainingError)).message, /is a folder/);
    const options = () => readConversations(`${folder}/none.json`, { promptCharacters: 0 });
    assertMatch((await assertRejects(options, TrainingError)).message, /from 1, got 0/);
  });
});

Deno.test("readConversations() survives any broken text without an error of its own", async () => {
  const records = [shareGpt("a", "b"), { prompt: 'q"\\', response: "[{" }, shareGpt("x", "y", "z")];
  for (const indent of [0, 1]) {
    const text = JSON.stringify(records, undefined, indent);
    for (let at = 0; at < text.length; at += 3) {
      const damaged = [text.slice(0, at), text.slice(0, at) + text.slice(at + 1)];
      for (const content of damaged) {
        await read(content).catch((error) => assert(error instanceof TrainingError, String(error)));
      }
    }
  }
});

Deno.test("readConversations() takes time in proportion to the file", async () => {
  const lines = 30_000;
  const record = JSON.stringify(shareGpt("a", "b"));
  const set = await read(`[${Array(lines).fill(record).join(",")}]`);
  assertEquals(set.examples.length, lines);
  // Each of these records swallows all that follow it, until reading gives up.
  const damaged = await read(`[\n{"prompt": "y"},${'\n{"prompt": "x",'.repeat(lines)}\n]`);
  assertEquals(damaged.examples.length, 1);
  assertMatch(damaged.skipped.at(-1)?.reason ?? "", /too damaged to read on/);
});
