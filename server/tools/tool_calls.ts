import { TOOL_CALL } from "../prompt/tool_text.ts";

/** A call that a model wrote. */
export interface WrittenCall {
  readonly name: string;
  /** JSON of an object. */
  readonly arguments: string;
}

/** What a piece of an answer turned out to be. */
export interface AnswerPart {
  /** What is said beside the calls. */
  readonly text: string;
  readonly calls: readonly WrittenCall[];
}

/** Takes calls of tools out of a text that grows. */
export interface ToolCallReader {
  push(text: string): AnswerPart;
  /** The rest, when the text has ended. */
  end(): AnswerPart;
}

/**
 * Reads calls as {@linkcode TOOL_CALL} marks them. Text that may be the beginning of a call is held
 * back; a call that is no JSON is text.
 *
 * @example
 * ```ts
 * import { createToolCallReader } from "./tool_calls.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const reader = createToolCallReader();
 * assertEquals(reader.push("Let me see.\n<tool_c"), { text: "Let me see.", calls: [] });
 * const call = 'all>{"name": "look", "arguments": {"at": 1}}</tool_call>';
 * assertEquals(reader.push(call).calls, [{ name: "look", arguments: '{"at":1}' }]);
 * ```
 */
export function createToolCallReader(): ToolCallReader {
  const { open, close } = TOOL_CALL;
  let held = "";
  let called = false;
  const read = (ended: boolean): AnswerPart => {
    let text = "";
    const calls: WrittenCall[] = [];
    const show = (length: number, until = length) => {
      const piece = held.slice(0, length);
      held = held.slice(until);
      // Blanks between and behind calls say nothing.
      if (called && piece.trim() === "") return;
      text += piece;
      called &&= piece === "";
    };
    for (;;) {
      const start = held.indexOf(open);
      if (start < 0) {
        show(ended ? held.length : safeLength(held, open));
        break;
      }
      const end = held.indexOf(close, start);
      const before = held.slice(0, start).trimEnd().length;
      if (end < 0 && !ended) {
        show(before);
        break;
      }
      const call = parseCall(held.slice(start + open.length, end < 0 ? held.length : end));
      const after = end < 0 ? held.length : end + close.length;
      if (!call) {
        show(after);
        continue;
      }
      show(before, after);
      calls.push(call);
      called = true;
    }
    return { text, calls };
  };
  return {
    push(text) {
      held += text;
      return read(false);
    },
    end: () => read(true),
  };
}

/** How much can be shown before what may begin a call, and the blanks before that. */
function safeLength(text: string, open: string): number {
  let length = text.length;
  for (let size = Math.min(open.length - 1, text.length); size > 0; size--) {
    if (text.endsWith(open.slice(0, size))) {
      length -= size;
      break;
    }
  }
  return text.slice(0, length).trimEnd().length;
}

function parseCall(text: string): WrittenCall | undefined {
  let call: unknown;
  try {
    call = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof call !== "object" || call === null || !("name" in call)) return undefined;
  const { name } = call;
  if (typeof name !== "string") return undefined;
  const given = "arguments" in call ? call.arguments : "parameters" in call ? call.parameters : {};
  return { name, arguments: typeof given === "string" ? given : JSON.stringify(given ?? {}) };
}
