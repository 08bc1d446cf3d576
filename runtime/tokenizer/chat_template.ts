import { Environment, Interpreter, Template } from "npm:@huggingface/jinja@0.5.11";
// @ts-types="npm:@types/strftime@0.9.8"
import strftime from "npm:strftime@0.10.3";
import { CheckpointError, PromptError } from "../errors.ts";
import type { ChatMessage, ChatTemplateOptions } from "./tokenizer.ts";

/** Texts of the control tokens that templates print, by name (`bos_token`, `eos_token`, …). */
export type TemplateTokens = Readonly<Record<string, string>>;

/** Renders messages to a prompt. */
export type ChatTemplate = (
  messages: readonly ChatMessage[],
  options?: ChatTemplateOptions,
  /** Changes what users said, as the template gets to see it. */
  mark?: (said: unknown) => unknown,
) => string;

/**
 * Compiles a Jinja chat template.
 *
 * @param now The time that `strftime_now` prints.
 * @throws {CheckpointError} If the template is not valid Jinja.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const render = compileChatTemplate(
 *   "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}",
 *   { eos_token: "</s>" },
 *   () => new Date(0),
 * );
 * assertEquals(render([{ role: "user", content: "Hi" }]), "[user] Hi</s>");
 * ```
 */
export function compileChatTemplate(
  source: string,
  tokens: TemplateTokens,
  now: () => Date,
): ChatTemplate {
  const template = parse(source);
  return (messages, options = {}, mark = (said) => said) => {
    requireMessages(messages);
    const scope = createScope(now);
    const variables = {
      tools: null,
      documents: null,
      ...tokens,
      ...mapped(options.variables ?? {}, mark),
      messages: messages.map((message) => mark(templateMessage(message))),
      add_generation_prompt: options.addGenerationPrompt ?? true,
    };
    try {
      for (const [name, value] of Object.entries(variables)) scope.set(name, value);
      return String(new Interpreter(scope).run(template.parsed).value);
    } catch (error) {
      throw new PromptError(
        `Cannot render the chat template: ${reason(error)} (roles given: ${
          messages.map(({ role }) => role).join(", ")
        }); change the messages or give the prompt as raw text`,
        { cause: error },
      );
    }
  };
}

function mapped(
  variables: Readonly<Record<string, unknown>>,
  mark: (said: unknown) => unknown,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(variables).map(([name, said]) => [name, mark(said)]));
}

/** A message by the names that templates use. */
function templateMessage({ role, content, name, toolCallId, toolCalls }: ChatMessage): object {
  return {
    role,
    content,
    ...(name === undefined ? {} : { name }),
    ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }),
    ...(toolCalls === undefined ? {} : {
      tool_calls: toolCalls.map((call) => ({
        id: call.id,
        type: "function",
        function: { name: call.name, arguments: parsedArguments(call.arguments) },
      })),
    }),
  };
}

/** Templates write arguments with `tojson`: they want the record, not its text. */
function parsedArguments(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function parse(source: string): Template {
  try {
    return new Template(source);
  } catch (error) {
    throw new CheckpointError(
      `Cannot read the checkpoint's chat template: ${reason(error)}; give the prompt as raw text`,
      { cause: error },
    );
  }
}

/** The globals of a template; the library's own set reads the system clock. */
function createScope(now: () => Date): Environment {
  const scope = new Environment();
  for (const [name, value] of [["true", true], ["false", false], ["none", null]] as const) {
    scope.set(name, value);
    scope.set(name.charAt(0).toUpperCase() + name.slice(1), value);
  }
  scope.set("range", createRange());
  scope.set("strftime_now", (format: string) => strftime(format, now()));
  scope.set("raise_exception", (message: string) => {
    throw new PromptError(message);
  });
  return scope;
}

/** More than any prompt has messages; a stranger's template must neither fill memory nor hang. */
const MOST_NUMBERS = 100_000;

/** `range` for one rendering: nested loops count together. */
function createRange(): (first: number, second?: number, step?: number) => number[] {
  let left = MOST_NUMBERS;
  return (first, second, step = 1) => {
    const [start, stop] = second === undefined ? [0, first] : [first, second];
    const length = Math.max(0, Math.ceil((stop - start) / step));
    left -= length;
    if (!(left >= 0)) {
      throw new PromptError(`its ranges have more than ${MOST_NUMBERS} numbers`);
    }
    return Array.from({ length }, (_, index) => start + index * step);
  };
}

function requireMessages(messages: readonly ChatMessage[]): void {
  if (messages.length === 0) {
    throw new PromptError("Cannot render the chat template without messages: give at least one");
  }
  for (const [index, { role, content }] of messages.entries()) {
    if (typeof role !== "string" || typeof content !== "string") {
      throw new PromptError(
        `Cannot render message ${index}: role and content must be text, ` +
          `got ${typeof role} and ${typeof content}`,
      );
    }
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
