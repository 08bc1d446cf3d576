/** Most characters of a text that a stranger wrote. */
const LONGEST = 300;

/**
 * A stranger's text for a line of ours: the first line that says something, without control
 * characters, cut short.
 *
 * @example
 * ```ts
 * import { oneLine } from "./one_line.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(oneLine("\n\u001b[31mboom\u001b[0m\n    at x.ts:1"), "boom");
 * assertEquals(oneLine("a".repeat(1e6)).length, 301);
 * ```
 */
export function oneLine(text: string): string {
  const line = text.slice(0, 10 * LONGEST)
    // deno-lint-ignore no-control-regex
    .replace(/\u001b\[[\d;]*[A-Za-z]/g, "")
    .split(/[\r\n\u2028\u2029]/)
    .map((one) => one.replace(/\p{C}+/gu, " ").trim())
    .find((one) => one !== "") ?? "no reason given";
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line;
}
