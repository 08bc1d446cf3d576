import { TOOL_CALL } from "../prompt/tool_text.ts";
import { createObjectEnd, type ObjectEnd } from "./object_end.ts";

/** A piece of a call that a model writes. */
export interface CallPiece {
  /** Which call of the answer, from 0. */
  readonly call: number;
  /** The function, in the first piece alone. */
  readonly name?: string;
  /** More of the JSON of its arguments, an object. */
  readonly arguments: string;
  /** Whether the call is whole with it. */
  readonly whole: boolean;
}

/** What a piece of an answer turned out to be. */
export interface AnswerPart {
  /** What is said beside the calls. */
  readonly text: string;
  readonly calls: readonly CallPiece[];
}

/** Takes calls of tools out of a text that grows. */
export interface ToolCallReader {
  push(text: string): AnswerPart;
  /** The rest, when the text has ended. */
  end(): AnswerPart;
}

/** The beginning of a call in the order in which all models are told to write it. */
const HEAD = /^\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)/;

/**
 * Reads calls as {@linkcode TOOL_CALL} marks them. Text that may be the beginning of a call is held
 * back; a call that is no JSON is text. Once its arguments begin, they are given as they are written:
 * the call of an answer that was cut there is not whole.
 *
 * @example
 * ```ts
 * import { createToolCallReader } from "./tool_calls.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const reader = createToolCallReader();
 * assertEquals(reader.push("Let me see.\n<tool_c"), { text: "Let me see.", calls: [] });
 * const { calls } = reader.push('all>{"name": "look", "arguments": {"at": ');
 * assertEquals(calls, [{ call: 0, name: "look", arguments: '{"at": ', whole: false }]);
 * const rest = reader.push('1}}</tool_call>');
 * assertEquals(rest.calls, [{ call: 0, arguments: "1}", whole: true }]);
 * ```
 */
export function createToolCallReader(): ToolCallReader {
  const { open, close } = TOOL_CALL;
  let held = "";
  let called = false;
  let begun = 0;
  /** Where the arguments that are being written end. */
  let writing: ObjectEnd | undefined;
  /** Whether a call's arguments have ended, but not the call. */
  let closing = false;

  const read = (ended: boolean): AnswerPart => {
    let text = "";
    const calls: CallPiece[] = [];
    const show = (length: number, until = length) => {
      const piece = held.slice(0, length);
      held = held.slice(until);
      // Blanks between and behind calls say nothing.
      if (called && piece.trim() === "") return;
      text += piece;
      called &&= piece === "";
    };
    /** Gives what is there of the arguments. */
    const write = (name: string | undefined, end: ObjectEnd) => {
      const length = end.within(held);
      const given = held.slice(0, length);
      held = held.slice(length);
      writing = end.reached ? undefined : end;
      closing = end.reached;
      if (given === "" && name === undefined) return;
      const named = name === undefined ? {} : { name };
      calls.push({ call: begun - 1, ...named, arguments: given, whole: end.reached });
    };
    /** Takes what ends a call away; whether it is all there. */
    const closed = (): boolean => {
      const end = held.indexOf(close);
      if (end < 0 && !ended) return false;
      held = end < 0 ? "" : held.slice(end + close.length);
      closing = false;
      return true;
    };
    for (;;) {
      if (writing) {
        write(undefined, writing);
        if (writing) break;
      }
      if (closing && !closed()) break;
      const start = held.indexOf(open);
      if (start < 0) {
        show(ended ? held.length : safeLength(held, open));
        break;
      }
      const end = held.indexOf(close, start);
      const before = held.slice(0, start).trimEnd().length;
      const [head, name] = HEAD.exec(held.slice(start + open.length)) ?? [];
      const callee = name === undefined ? undefined : textOf(name);
      if (head !== undefined && callee !== undefined) {
        show(before, start + open.length + head.length);
        called = true;
        begun++;
        write(callee, createObjectEnd());
        continue;
      }
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
      calls.push({ call: begun++, ...call, whole: true });
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

function textOf(json: string): string | undefined {
  try {
    const text: unknown = JSON.parse(json);
    return typeof text === "string" ? text : undefined;
  } catch {
    return undefined;
  }
}

/** A call that is written in another order, or whose arguments are a text or called parameters. */
function parseCall(text: string): Pick<CallPiece, "arguments"> & { name: string } | undefined {
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
