/** Follows the text of a JSON object to its end. */
export interface ObjectEnd {
  /** How much of the next piece belongs to it. */
  within(piece: string): number;
  /** Whether it has ended. */
  readonly reached: boolean;
}

/**
 * Finds where a JSON object ends, in pieces of text that begin with it.
 *
 * @example
 * ```ts
 * import { createObjectEnd } from "./object_end.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const end = createObjectEnd();
 * assertEquals([end.within('{"a": "}'), end.reached], [8, false]);
 * assertEquals([end.within('"} and on'), end.reached], [2, true]);
 * ```
 */
export function createObjectEnd(): ObjectEnd {
  let depth = 0;
  let quoted = false;
  let escaped = false;
  let reached = false;
  return {
    within(piece) {
      for (let at = 0; at < piece.length; at++) {
        if (reached) return at;
        const character = piece[at];
        if (escaped) escaped = false;
        else if (quoted) {
          if (character === "\\") escaped = true;
          else if (character === '"') quoted = false;
        } else if (character === '"') quoted = true;
        else if (character === "{" || character === "[") depth++;
        else if (character === "}" || character === "]") reached = --depth === 0;
      }
      return piece.length;
    },
    get reached() {
      return reached;
    },
  };
}
