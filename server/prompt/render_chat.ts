import { PromptError } from "../../runtime/errors.ts";
import type {
  ChatMessage,
  ChatTemplateOptions,
  Tokenizer,
} from "../../runtime/tokenizer/tokenizer.ts";
import type { ChatPrompt, ChatTurn } from "./chat_prompt.ts";
import {
  shownTools,
  TOOL_CALL,
  toolCallText,
  toolInstructions,
  toolResultText,
} from "./tool_text.ts";

/** What renders conversations. */
export type ChatRenderer = Pick<Tokenizer, "encode" | "hasChatTemplate" | "renderChat">;

/**
 * The ids of a conversation. A template that knows tools in the form that is read here tells of them
 * itself; for others they are written out. Where the template refuses a system message, or two
 * messages of one role in a row, the same is said with messages that it takes.
 *
 * @throws {PromptError} If there is no template, or it takes none of the forms.
 */
export function renderChat(
  { messages: given, tools = [], variables }: Omit<ChatPrompt, "kind">,
  tokenizer: ChatRenderer,
): number[] {
  if (!tokenizer.hasChatTemplate) {
    throw new PromptError(
      "Cannot chat: the model has no chat template; use /v1/completions, or a model that was made " +
        "for chats",
    );
  }
  const messages = given.map(wellFormed);
  const options: ChatTemplateOptions = variables ? { variables } : {};
  const called = tools.length > 0 ||
    messages.some(({ role, toolCalls }) => role === "tool" || toolCalls);
  if (called) {
    const told = { variables: { ...variables, tools: shownTools(tools) } };
    const native = tools.length > 0 ? attempt(messages, told, tokenizer) : undefined;
    if (native?.text.includes(TOOL_CALL.open)) return tokenizer.encode(native);
  }
  const plain = called ? writtenOut(messages, tools) : messages;
  const rendered = attempt(plain, options, tokenizer) ??
    attempt(alternating(plain), options, tokenizer) ??
    // The template's own complaint about the messages as they are.
    tokenizer.renderChat(plain, options);
  return tokenizer.encode(rendered);
}

function attempt(
  messages: readonly ChatMessage[],
  options: ChatTemplateOptions,
  tokenizer: ChatRenderer,
) {
  try {
    return tokenizer.renderChat(messages, options);
  } catch (error) {
    if (error instanceof PromptError) return undefined;
    throw error;
  }
}

function wellFormed(turn: ChatTurn): ChatMessage {
  return { ...turn, content: turn.content.toWellFormed() };
}

/** Messages with nothing but text: tools, their calls and what they gave are written out. */
function writtenOut(
  messages: readonly ChatMessage[],
  tools: ChatPrompt["tools"] = [],
): readonly ChatMessage[] {
  const plain: ChatMessage[] = [];
  for (const [at, message] of messages.entries()) {
    const written = writeOut(message);
    const last = plain.at(-1);
    // Results of several calls make one message.
    if (message.role === "tool" && last && messages[at - 1]?.role === "tool") {
      plain[plain.length - 1] = { ...last, content: `${last.content}\n${written.content}` };
    } else plain.push(written);
  }
  if (tools.length === 0) return plain;
  const instructions = toolInstructions(tools);
  const [first] = plain;
  if (first?.role !== "system") return [{ role: "system", content: instructions }, ...plain];
  return [{ role: "system", content: `${first.content}\n\n${instructions}` }, ...plain.slice(1)];
}

function writeOut({ role, content, toolCalls = [] }: ChatMessage): ChatMessage {
  if (role === "tool") return { role: "user", content: toolResultText(content) };
  if (toolCalls.length === 0) return { role, content };
  const calls = toolCallText(toolCalls).toWellFormed();
  return { role, content: content === "" ? calls : `${content}\n${calls}` };
}

/** Users and assistants in turn: system messages join the user's that follows. */
function alternating(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const turns: ChatMessage[] = [];
  for (const { role, content } of messages) {
    const said = role === "system" ? "user" : role;
    const last = turns.at(-1);
    if (last?.role === said) {
      turns[turns.length - 1] = { role: said, content: `${last.content}\n\n${content}` };
    } else turns.push({ role: said, content });
  }
  return turns;
}
