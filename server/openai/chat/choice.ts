import { createToolCallReader } from "../../tools/tool_calls.ts";

/** A call as OpenAI shows it. */
export interface ShownCall {
  readonly index: number;
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

/** What is new in an answer. */
export interface Delta {
  readonly content: string;
  readonly calls: readonly ShownCall[];
}

/** One answer of a chat, as it grows. */
export interface Choice {
  push(text: string): Delta;
  end(text: string): Delta;
  /** All calls so far. */
  readonly calls: readonly ShownCall[];
}

/**
 * Follows an answer.
 *
 * @param tools Whether calls of tools are looked for in it.
 */
export function createChoice(tools: boolean, newId: () => string): Choice {
  const calls: ShownCall[] = [];
  if (!tools) {
    const plain = (content: string): Delta => ({ content, calls: [] });
    return { push: plain, end: plain, calls };
  }
  const reader = createToolCallReader();
  return {
    push: (text) => shown(reader.push(text)),
    end(text) {
      const last = reader.push(text);
      const rest = reader.end();
      return shown({ text: last.text + rest.text, calls: [...last.calls, ...rest.calls] });
    },
    calls,
  };

  function shown(part: ReturnType<typeof reader.push>): Delta {
    const fresh = part.calls.map((call, at): ShownCall => ({
      index: calls.length + at,
      id: `call_${newId()}`,
      type: "function",
      function: call,
    }));
    calls.push(...fresh);
    return { content: part.text, calls: fresh };
  }
}
