import Table from "npm:cli-table3@0.6.5";

/** How a table is laid out. */
export interface TableLayout {
  /** Columns, from 0, whose cells stand to the left. @default {[0]} */
  readonly left?: readonly number[];
  /** What every line begins with. @default {""} */
  readonly indent?: string;
}

/** No lines, and two blanks between columns. */
const PLAIN = Object.fromEntries(
  ["top", "bottom", "left", "right"].flatMap((side) =>
    ["", "-mid", "-left", "-right"].map((part) => [`${side}${part}`, ""])
  ).concat([["mid", ""], ["mid-mid", ""], ["middle", "  "]]),
);

/**
 * Rows as lines of text whose columns stand below one another, also where characters are wide or
 * cells have colours.
 *
 * @example
 * ```ts
 * import { table } from "./_table.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(table([["文", "n"], ["text", "12"]]), "文     n\ntext  12\n");
 * ```
 */
export function table(
  rows: readonly (readonly string[])[],
  { left = [0], indent = "" }: TableLayout = {},
): string {
  if (rows.length === 0) return "";
  const columns = Math.max(...rows.map((row) => row.length));
  const made = new Table({
    chars: PLAIN,
    colAligns: Array.from(
      { length: columns },
      (_, column) => left.includes(column) ? "left" : "right",
    ),
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
  });
  for (const row of rows) {
    made.push(Array.from({ length: columns }, (_, column) => row[column] ?? ""));
  }
  return made.toString().split("\n").map((line) => `${indent}${line}`.trimEnd() + "\n").join("");
}

/** Names and what they stand for, one a line, for texts that may be a stranger's. */
export function fields(rows: readonly (readonly string[])[]): string {
  return table(rows.map((row) => row.map(printable)), { left: [0, 1], indent: "  " });
}

/** A text that does not move the terminal's cursor. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));
}
