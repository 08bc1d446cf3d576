import { readFile } from "node:fs/promises";

/** The text that benches read. */
export function benchText(): Promise<string> {
  return readFile(new URL("./text.txt", import.meta.url), "utf8");
}

/** So many ids of a text, which is repeated where it is shorter. */
export function repeated(ids: readonly number[], count: number): number[] {
  return Array.from({ length: count }, (_, at) => ids[at % ids.length] ?? 0);
}
