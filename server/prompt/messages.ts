import { InvalidRequestError } from "../http/request_error.ts";
import type { Message } from "../schemas/chat.ts";
import type { ChatTurn } from "./chat_prompt.ts";

/**
 * Messages of a request as turns: parts are joined, a developer's message is a system message.
 *
 * @throws {InvalidRequestError} If one has no content, or parts that are no text.
 */
export function chatTurns(messages: readonly Message[]): ChatTurn[] {
  return messages.map((message, at) => {
    const { tool_calls, tool_call_id } = message;
    const content = contentOf(message, at);
    return {
      role: roleOf(message.role),
      content,
      ...(tool_calls && tool_calls.length > 0
        ? {
          toolCalls: tool_calls.map(({ id, function: { name, arguments: given } }, call) => ({
            id,
            name,
            arguments: jsonObject(given, `messages[${at}].tool_calls[${call}].function.arguments`),
          })),
        }
        : {}),
      ...(typeof tool_call_id === "string" ? { toolCallId: tool_call_id } : {}),
    };
  });
}

function roleOf(role: Message["role"]): ChatTurn["role"] {
  if (role === "developer") return "system";
  return role === "function" ? "tool" : role;
}

function contentOf({ role, content, tool_calls, refusal }: Message, at: number): string {
  if (typeof content === "string") return content;
  if (Array.isArray(content)) {
    return content.map(({ type, text }, part) => {
      if (/^(text|input_text|output_text|refusal)$/.test(type) && typeof text === "string") {
        return text;
      }
      throw new InvalidRequestError(
        `Invalid request: parts of a message must be texts, got one of type ${
          JSON.stringify(type)
        }; this server reads no images and no sound`,
        { param: `messages[${at}].content[${part}]`, code: "unsupported_content" },
      );
    }).join("\n");
  }
  if (role === "assistant" && (tool_calls || refusal)) return refusal ?? "";
  throw new InvalidRequestError(
    `Invalid request: "messages[${at}].content" must be a text or a list of text parts, got nothing`,
    { param: `messages[${at}].content`, code: "invalid_value" },
  );
}

function jsonObject(text: string, param: string): string {
  if (text.trim() === "") return "{}";
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    throw new InvalidRequestError(`Invalid request: "${param}" must be JSON`, {
      param,
      code: "invalid_value",
    });
  }
}
