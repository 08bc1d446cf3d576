import { assertEquals, assertThrows } from "@std/assert";
import { readPromptSet } from "../../evaluation/prompt_set.ts";
import { PromptError } from "../../runtime/errors.ts";

Deno.test("readPromptSet() reads conversations, raw text and ids with known answers", () => {
  const messages = [{ role: "user", content: "Hello" }];
  const lines = [
    { messages, id: "kept out" },
    { prompt: "Once", response: "upon" },
    { ids: [1, 2], response: [3] },
    { prompt: "Once", response: null },
  ];
  const text = `\uFEFF${lines.map((line) => JSON.stringify(line)).join("\r\n\n")}\n`;
  assertEquals(readPromptSet(text, "a text"), {
    prompts: [
      { line: 1, prompt: { messages } },
      { line: 3, prompt: { text: "Once" }, response: { text: "upon" } },
      { line: 5, prompt: { ids: [1, 2] }, response: { ids: [3] } },
      { line: 7, prompt: { text: "Once" } },
    ],
    broken: [],
  });
});

const BROKEN: Readonly<Record<string, string>> = {
  "{": "it is not JSON",
  "[1]": "it must be an object, got an array",
  "{}": 'it must be an object with one of "messages", "prompt" or "ids"',
  '{"prompt": "a", "ids": [1]}': 'it must be an object with one of "messages", "prompt" or "ids"',
  '{"prompt": ""}': '"prompt" must be a text that is not empty, got ""',
  '{"ids": [1, -1]}': '"ids[1]" must be a token id, got -1',
  '{"ids": []}': '"ids" must be token ids, not empty',
  '{"messages": []}': '"messages" must be an array that is not empty',
  '{"messages": [{"role": "user"}]}': '"messages[0].content" must be a text, got nothing',
  '{"messages": [{"role": "assistant", "content": "a"}]}':
    '"messages" must be a conversation whose last turn is not the assistant\'s',
  '{"prompt": "a", "response": []}':
    '"response" must be a text or token ids, not empty, got an array',
};

Deno.test("readPromptSet() lists broken lines by number and goes on", () => {
  const text = [...Object.keys(BROKEN), '{"prompt": "good"}'].join("\n");
  const { prompts, broken } = readPromptSet(text, "a text");
  assertEquals(prompts.length, 1);
  assertEquals(broken, Object.values(BROKEN).map((reason, at) => ({ line: at + 1, reason })));
});

Deno.test("readPromptSet() refuses a text without a usable line and says why", () => {
  assertThrows(() => readPromptSet("\n{\n", "p.jsonl"), PromptError, "p.jsonl: line 2: it is not");
  assertThrows(() => readPromptSet(" \n", "p.jsonl"), PromptError, "p.jsonl: it is empty");
});
