import { PromptError } from "../../runtime/errors.ts";
import type { ChatMessage, Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import type { ChatPrompt, ChatTurn } from "./chat_prompt.ts";
import { toolCallText, toolInstructions, toolResultText } from "./tool_text.ts";

/**
 * The ids of a conversation. Where the model's template refuses a system message, or two messages of
 * one role in a row, the same is said with messages that it takes.
 *
 * @throws {PromptError} If there is no template, or it takes none of the forms.
 */
export function renderChat(
  prompt: Pick<ChatPrompt, "messages" | "tools" | "variables">,
  tokenizer: Pick<Tokenizer, "encodeChat" | "hasChatTemplate">,
): number[] {
  if (!tokenizer.hasChatTemplate) {
    throw new PromptError(
      "Cannot chat: the model has no chat template; use /v1/completions, or a model that was made " +
        "for chats",
    );
  }
  const messages = plainMessages(prompt);
  const options = prompt.variables ? { variables: prompt.variables } : {};
  try {
    return tokenizer.encodeChat(messages, options);
  } catch (error) {
    if (!(error instanceof PromptError)) throw error;
    const simpler = alternating(messages);
    if (same(simpler, messages)) throw error;
    try {
      return tokenizer.encodeChat(simpler, options);
    } catch {
      throw error;
    }
  }
}

/** Messages with nothing but text: tools, their calls and what they gave are written out. */
export function plainMessages({ messages, tools = [] }: ChatPrompt | Omit<ChatPrompt, "kind">) {
  const plain: ChatMessage[] = [];
  for (const [at, turn] of messages.entries()) {
    const message = plainMessage(turn);
    const last = plain.at(-1);
    // Results of several calls make one message.
    if (turn.role === "tool" && last && messages[at - 1]?.role === "tool") {
      plain[plain.length - 1] = { ...last, content: `${last.content}\n${message.content}` };
    } else plain.push(message);
  }
  if (tools.length === 0) return plain;
  const instructions = toolInstructions(tools);
  const [first] = plain;
  if (first?.role !== "system") return [{ role: "system", content: instructions }, ...plain];
  return [{ role: "system", content: `${first.content}\n\n${instructions}` }, ...plain.slice(1)];
}

function plainMessage({ role, content, toolCalls = [] }: ChatTurn): ChatMessage {
  const text = content.toWellFormed();
  if (role === "tool") return { role: "user", content: toolResultText(text) };
  if (toolCalls.length === 0) return { role, content: text };
  const calls = toolCallText(toolCalls).toWellFormed();
  return { role, content: text === "" ? calls : `${text}\n${calls}` };
}

/** Users and assistants in turn: system messages join the user's that follows. */
function alternating(messages: readonly ChatMessage[]): ChatMessage[] {
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

function same(one: readonly ChatMessage[], other: readonly ChatMessage[]): boolean {
  return one.length === other.length &&
    one.every(({ role, content }, at) =>
      role === other[at]?.role && content === other[at]?.content
    );
}
