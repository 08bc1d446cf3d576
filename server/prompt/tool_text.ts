import type { ToolCall } from "../../runtime/tokenizer/tokenizer.ts";
import type { ToolDefinition } from "../scheduler/grammar.ts";

/** What stands around a call of a tool, as Hermes and Qwen write it. */
export const TOOL_CALL = { open: "<tool_call>", close: "</tool_call>" } as const;

/** Tools in OpenAI's form, as templates and models know them. */
export function shownTools(tools: readonly ToolDefinition[]) {
  return tools.map(({ name, description, parameters }) => ({
    type: "function",
    function: {
      name,
      ...(description === undefined ? {} : { description }),
      parameters: parameters ?? { type: "object", properties: {} },
    },
  }));
}

/** What a model is told of tools, in the words that Qwen's template uses. */
export function toolInstructions(tools: readonly ToolDefinition[]): string {
  const lines = shownTools(tools).map((tool) => JSON.stringify(tool));
  return "# Tools\n\n" +
    "You may call one or more functions to assist with the user query.\n\n" +
    "You are provided with function signatures within <tools></tools> XML tags:\n" +
    `<tools>\n${lines.join("\n")}\n</tools>\n\n` +
    "For each function call, return a json object with function name and arguments within " +
    `${TOOL_CALL.open}${TOOL_CALL.close} XML tags:\n` +
    `${TOOL_CALL.open}\n{"name": <function-name>, "arguments": <args-json-object>}\n` +
    TOOL_CALL.close;
}

/** Calls that an assistant's message made, as the model wrote them. */
export function toolCallText(calls: readonly ToolCall[]): string {
  return calls.map(({ name, arguments: given }) =>
    `${TOOL_CALL.open}\n{"name": ${JSON.stringify(name)}, "arguments": ${given || "{}"}}\n` +
    TOOL_CALL.close
  ).join("\n");
}

/** What a tool gave. */
export function toolResultText(content: string): string {
  return `<tool_response>\n${content}\n</tool_response>`;
}
