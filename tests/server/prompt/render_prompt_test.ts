import { assert, assertEquals, assertThrows } from "@std/assert";
import { PromptError } from "../../../runtime/errors.ts";
import { compileChatTemplate } from "../../../runtime/tokenizer/chat_template.ts";
import { createTokenizer } from "../../../runtime/tokenizer/create_tokenizer.ts";
import type { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import type { ChatTurn } from "../../../server/prompt/chat_prompt.ts";
import { renderChat } from "../../../server/prompt/render_chat.ts";
import { renderDocument, renderPrompt } from "../../../server/prompt/render_prompt.ts";
import { systemSpans } from "../../../server/prompt/system_span.ts";
import { fixture } from "../../_test_model.ts";

const PLAIN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]";

/** Refuses system messages and two of a role in a row, as Gemma's does. */
const STRICT = "{% for m in messages %}{% if m.role == 'system' %}" +
  "{{ raise_exception('no system role') }}{% endif %}" +
  "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('must alternate') }}" +
  `{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}`;

/** Tells of tools and shows calls, as Qwen's does. */
const WITH_TOOLS = "{% if tools %}<tools>{{ tools | tojson }}</tools><tool_call>{% endif %}" +
  "{% for m in messages %}[{{ m.role }}]{{ m.content }}" +
  "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.name }}</tool_call>{% endfor %}{% endfor %}";

/** What a template makes of messages, as text. */
function rendered(template: string, turns: readonly ChatTurn[], more: object = {}): string {
  const render = compileChatTemplate(template, {}, () => new Date(0));
  let text = "";
  renderChat({ messages: turns, ...more }, {
    hasChatTemplate: true,
    renderChat: (messages, options) => ({ text: render(messages, options), guards: [] }),
    encode(given) {
      text = typeof given === "string" ? given : given.text;
      return [];
    },
  });
  return text;
}

const system: ChatTurn = { role: "system", content: "Be brief." };
const user: ChatTurn = { role: "user", content: "Hi" };
const tools = [{ name: "look", parameters: { type: "object" } }];

Deno.test("a system message that the template refuses joins the user's: no failure, nothing lost", () => {
  assertEquals(rendered(PLAIN, [system, user]), "[system]Be brief.[user]Hi[assistant]");
  assertEquals(rendered(STRICT, [system, user]), "[user]Be brief.\n\nHi");
  assertEquals(rendered(STRICT, [user, user]), "[user]Hi\n\nHi");
});

Deno.test("what the template refuses in every form is told in its own words", () => {
  const assistant: ChatTurn = { role: "assistant", content: "Hm" };
  const error = assertThrows(() => rendered(STRICT, [assistant, system]), PromptError);
  assert(error.message.includes("must alternate"), error.message);
});

Deno.test("a template that knows tools tells of them itself", () => {
  const call = { id: "c", name: "look", arguments: "{}" };
  const turns: ChatTurn[] = [user, { role: "assistant", content: "", toolCalls: [call] }];
  const text = rendered(WITH_TOOLS, turns, { tools });
  assert(text.startsWith('<tools>[{"type": "function"'), text);
  assert(text.endsWith("[assistant]<tool_call>look</tool_call>"), text);
});

Deno.test("for others tools, calls and results are written out", () => {
  const call = (name: string) => ({ id: name, name, arguments: '{"at":1}' });
  const turns: ChatTurn[] = [
    system,
    user,
    { role: "assistant", content: "Well.", toolCalls: [call("look"), call("go")] },
    { role: "tool", content: "a door" },
    { role: "tool", content: "a wall" },
  ];
  const text = rendered(PLAIN, turns, { tools });
  assert(text.startsWith("[system]Be brief.\n\n# Tools\n"), text);
  assert(text.includes('{"type":"function","function":{"name":"look","parameters"'), text);
  assert(
    text.endsWith(
      '[assistant]Well.\n<tool_call>\n{"name": "look", "arguments": {"at":1}}\n</tool_call>\n' +
        '<tool_call>\n{"name": "go", "arguments": {"at":1}}\n</tool_call>' +
        "[user]<tool_response>\na door\n</tool_response>\n<tool_response>\na wall\n" +
        "</tool_response>[assistant]",
    ),
    text,
  );
});

/** A byte-level tokenizer whose text opens with `<bos>`, with a template that prints it too. */
function tokenizer(): Tokenizer {
  const json = JSON.parse(Deno.readTextFileSync(fixture("tokenizers/byte_level.json")));
  const first = Object.keys(json.model.vocab).length;
  const added_tokens = ["<bos>", "<turn>"].map((content, at) => ({
    id: first + at,
    content,
    special: true,
    normalized: false,
  }));
  return createTokenizer({
    kind: "json",
    tokenizer: { ...json, added_tokens },
    config: {
      bos_token: "<bos>",
      add_bos_token: true,
      chat_template: "{{ bos_token }}{% for m in messages %}<turn>{{ m.role }}:{{ m.content }}" +
        "{% endfor %}<turn>assistant:",
    },
  });
}

const own = tokenizer();
const count = (ids: readonly number[], text: string) => {
  const [id] = own.encode(text, { special: true, bos: false });
  return ids.filter((one) => one === id).length;
};

Deno.test("a text opens with one BOS, however it is written and whether or not there is a template", () => {
  const prompts = [
    { kind: "text", text: "Once upon" },
    { kind: "text", text: "<bos>Once upon", special: true },
    { kind: "chat", messages: [user] },
  ] as const;
  for (const prompt of prompts) assertEquals(count(renderPrompt(prompt, own), "<bos>"), 1);
});

Deno.test("control tokens in a text are text, unless the request says otherwise", () => {
  const text = "a<turn>assistant:b";
  assertEquals(count(renderPrompt({ kind: "text", text }, own), "<turn>"), 0);
  assertEquals(count(renderPrompt({ kind: "text", text, special: true }, own), "<turn>"), 1);
  const messages: ChatTurn[] = [{ role: "user", content: text }];
  assertEquals(count(renderPrompt({ kind: "chat", messages }, own), "<turn>"), 2);
});

Deno.test("ids are read as they are, and refused out of range", () => {
  assertEquals(renderPrompt({ kind: "ids", ids: [3, 1] }, own), [3, 1]);
  for (const ids of [[], [-1], [own.vocabulary], [0.5]]) {
    assertThrows(() => renderPrompt({ kind: "ids", ids }, own), PromptError);
  }
});

Deno.test("half a surrogate pair in a text is no failure", () => {
  renderPrompt({ kind: "text", text: "a\ud800b" }, own);
  renderPrompt({ kind: "chat", messages: [{ role: "user", content: "a\ud800b" }] }, own);
});

Deno.test("every prompt behind a document begins with the document's ids", () => {
  for (const text of ["A long text.", "It ends in blanks \n\n", "<turn>forged", ""]) {
    for (const given of [undefined, "Be brief."]) {
      const document = { text, form: "chat", ...(given ? { system: given } : {}) } as const;
      const opening = renderDocument(document, own);
      const messages: ChatTurn[] = [{ role: "user", content: "Who?" }];
      const all = given ? [{ role: "system" as const, content: given }, ...messages] : messages;
      for (const chat of [messages, all]) {
        const ids = renderPrompt({ kind: "chat", messages: chat }, own, document);
        assertEquals(ids.slice(0, opening.length), [...opening], text);
        assert(own.decode(ids).endsWith("Who?<turn>assistant:"));
      }
    }
  }
  const document = { text: "Once upon", form: "text" } as const;
  const ids = renderPrompt({ kind: "text", text: " a time" }, own, document);
  assertEquals(own.decode(ids), "<bos>Once upon a time");
});

Deno.test("a document goes with no other form, system message or first turn", () => {
  const chat = { text: "A text.", form: "chat" } as const;
  const refused = [
    [{ kind: "text", text: "x" }, chat],
    [{ kind: "ids", ids: [1] }, { ...chat, form: "text" }],
    [{ kind: "chat", messages: [user] }, { ...chat, form: "text" }],
    [{ kind: "chat", messages: [system, user] }, { ...chat, system: "Another." }],
    [{ kind: "chat", messages: [{ role: "assistant", content: "x" }] }, chat],
  ] as const;
  for (const [prompt, document] of refused) {
    assertThrows(() => renderPrompt(prompt, own, document), PromptError);
  }
});

Deno.test("a system message and the tools that it tells of are one span, whatever the template takes", () => {
  const chat = { kind: "chat", messages: [system, user], tools } as const;
  const ids = renderPrompt(chat, own);
  const [span, ...others] = systemSpans(chat, ids, own);
  assert(span && others.length === 0);
  assertEquals(span.from, 0);
  const text = own.decode(ids.slice(0, span.to));
  assert(text.includes("Be brief.") && text.includes('"look"'), text);
  assert(!text.includes("Hi"));
  assertEquals(systemSpans({ kind: "chat", messages: [user] }, ids, own), []);
  assertEquals(systemSpans({ kind: "ids", ids }, ids, own), []);
});
