import type { Interval } from "../../evaluation/statistics.ts";

/** A table of text: the first column to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0))
  );
  const lines = rows.map((row) =>
    row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)
    ).join("  ").trimEnd()
  );
  return `${lines.join("\n")}\n`;
}

/** A share as people read it, in percent. */
export function percent(share: number | null): string {
  return share === null ? "-" : (100 * share).toFixed(1);
}

/** An interval of shares, in percent. */
export function percents(interval: Interval | null): string {
  return interval === null ? "-" : interval.map(percent).join("-");
}
