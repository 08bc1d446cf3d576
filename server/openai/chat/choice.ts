import { type CallPiece, createToolCallReader } from "../../tools/tool_calls.ts";

/** A call as OpenAI shows it. */
export interface ShownCall {
  readonly index: number;
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

/** What is new of a call: all of it but the rest of its arguments, or more of these. */
export type CallDelta = ShownCall | {
  readonly index: number;
  readonly function: { readonly arguments: string };
};

/** What is new in an answer. */
export interface Delta {
  readonly content: string;
  readonly calls: readonly CallDelta[];
  /** Calls that are whole with it. */
  readonly whole: readonly ShownCall[];
}

/** One answer of a chat, as it grows. */
export interface Choice {
  push(text: string): Delta;
  end(text: string): Delta;
  /** All calls so far; the last one is not whole where the answer was cut. */
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
    const plain = (content: string): Delta => ({ content, calls: [], whole: [] });
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

  function shown({ text: content, calls: pieces }: ReturnType<typeof reader.push>): Delta {
    const fresh = pieces.map(taken);
    const whole = pieces.flatMap(({ call, whole }) => whole ? calls[call] ?? [] : []);
    return { content, calls: fresh, whole };
  }
  function taken({ call: index, name, arguments: given }: CallPiece): CallDelta {
    const known = calls[index];
    const { id, function: { name: before, arguments: written } } = known ??
      { id: `call_${newId()}`, function: { name: name ?? "", arguments: "" } };
    const called = { name: before, arguments: written + given };
    calls[index] = { index, id, type: "function", function: called };
    return known ? { index, function: { arguments: given } } : calls[index];
  }
}
