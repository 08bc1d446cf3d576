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
export interface ChatTurn {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string;
  /** What an assistant's message called. */
  readonly toolCalls?: readonly ToolCall[];
  /** The call that a tool's message answers. */
  readonly toolCallId?: string;
}

/** A function that a model called. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON. */
  readonly arguments: string;
}
