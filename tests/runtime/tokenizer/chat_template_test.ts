import { assertEquals, assertThrows } from "@std/assert";
import { CheckpointError, PromptError } from "../../../runtime/errors.ts";
import { compileChatTemplate } from "../../../runtime/tokenizer/chat_template.ts";

const now = () => new Date(2026, 0, 5, 9, 7);
const compile = (source: string) => compileChatTemplate(source, { bos_token: "<s>" }, now);
const hello = [{ role: "user", content: "Hi" }];

Deno.test("compileChatTemplate() renders system message, turns and generation prompt", () => {
  const render = compile(
    "{% if messages[0]['role'] == 'system' %}S:{{ messages[0].content }};" +
      "{% set messages = messages[1:] %}{% endif %}" +
      "{% for m in messages %}{{ m['role'] }}:{{ m['content'] | trim }};{% endfor %}" +
      "{% if add_generation_prompt %}assistant:{% endif %}",
  );
  const messages = [{ role: "system", content: "Be brief" }, { role: "user", content: " Hi " }];
  assertEquals(render(messages), "S:Be brief;user:Hi;assistant:");
  assertEquals(render(messages, { addGenerationPrompt: false }), "S:Be brief;user:Hi;");
});

Deno.test("compileChatTemplate() hands the template its own variables", () => {
  const render = compile(
    "{{ bos_token }}{% if thinking is defined and thinking is false %}off{% endif %}" +
      "{% if tools is none %}-{% endif %}{{ range(3) | length }}{{ range(4, 0, -2) | join(',') }}",
  );
  assertEquals(render(hello, { variables: { thinking: false } }), "<s>off-34,2");
});

Deno.test("compileChatTemplate() prints the injected time", () => {
  assertEquals(compile("{{ strftime_now('%d %b %Y %H:%M') }}")(hello), "05 Jan 2026 09:07");
});

Deno.test("compileChatTemplate() turns raise_exception into a PromptError with the roles", () => {
  const render = compile("{{ raise_exception('Roles must alternate') }}");
  const error = assertThrows(
    () => render([...hello, ...hello]),
    PromptError,
    "Roles must alternate (roles given: user, user)",
  );
  assertEquals(error.message.includes("\n"), false);
});

Deno.test("compileChatTemplate() reports a failing expression as a PromptError", () => {
  assertThrows(() => compile("{{ missing() }}")(hello), PromptError, "Cannot render");
});

Deno.test("compileChatTemplate() refuses no messages and messages that are not text", () => {
  const render = compile("x");
  assertThrows(() => render([]), PromptError, "give at least one");
  const message = { role: "user", content: JSON.parse("[1]") };
  assertThrows(() => render([message]), PromptError, "message 0: role and content must be text");
});

Deno.test("compileChatTemplate() names a template that is not valid Jinja", () => {
  assertThrows(() => compile("{% if %}"), CheckpointError, "Cannot read the checkpoint's chat");
});

Deno.test("compileChatTemplate() refuses ranges that would fill the memory or never end", () => {
  const loop = (numbers: number, inner: string) =>
    `{% for i in range(${numbers}) %}${inner}{% endfor %}`;
  for (const source of [loop(1e8, "x"), loop(1e5, loop(1e5, "x")), "{{ range(0, 1, 0) }}"]) {
    const render = compile(source);
    assertThrows(() => render(hello), PromptError, "its ranges have more than 100000 numbers");
  }
  assertEquals(compile(loop(1000, "x"))(hello).length, 1000);
});
