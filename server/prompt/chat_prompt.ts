import type { ChatMessage } from "../../runtime/tokenizer/tokenizer.ts";
import type { ToolDefinition } from "../scheduler/grammar.ts";

/** A conversation that the model's template renders. */
export interface ChatPrompt {
  readonly kind: "chat";
  readonly messages: readonly ChatTurn[];
  /** Tools that the model is told of. */
  readonly tools?: readonly ToolDefinition[];
  /** Further variables of the template, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** One message of a conversation. */
export interface ChatTurn extends ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
}
