const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

/**
 * Splits a text at a character wherever it stands outside of brackets and double quotes.
 *
 * @returns `undefined` if the brackets or quotes do not match.
 *
 * @example
 * ```ts
 * import { splitOutside } from "./split_outside.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(splitOutside('a,b(c,d),"e,f"', ","), ["a", "b(c,d)", '"e,f"']);
 * assertEquals(splitOutside("a(b", ","), undefined);
 * ```
 */
export function splitOutside(text: string, separator: string): string[] | undefined {
  const parts: string[] = [];
  const open: string[] = [];
  let quoted = false;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (quoted) {
      if (character === "\\") at++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (CLOSING[character] !== undefined) open.push(CLOSING[character]);
    else if (Object.values(CLOSING).includes(character)) {
      if (open.pop() !== character) return undefined;
    } else if (character === separator && open.length === 0) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  if (quoted || open.length > 0) return undefined;
  return [...parts, text.slice(start)];
}
