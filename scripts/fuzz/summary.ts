import { table } from "../../commands/_table.ts";
import type { CaseResult } from "./target.ts";

/** A table: one line for each target. */
export function summarise(results: readonly CaseResult[]): string {
  const targets = [...new Set(results.map(({ target }) => target))];
  const rows = [
    ["target", "cases", "read", "refused", "failed", "slowest", "most allocated"],
    ...targets.map((name) => row(name, results.filter(({ target }) => target === name))),
    ...(targets.length > 1 ? [row("all", results)] : []),
  ];
  return table(rows).trimEnd();
}

function row(name: string, results: readonly CaseResult[]): string[] {
  const count = (outcome: CaseResult["outcome"]) =>
    String(results.filter((result) => result.outcome === outcome).length);
  const most = (of: (result: CaseResult) => number) =>
    results.reduce((m, r) => Math.max(m, of(r)), 0);
  return [
    name,
    String(results.length),
    count("read"),
    count("refused"),
    count("failed"),
    `${most(({ milliseconds }) => milliseconds).toFixed(0)} ms`,
    `${(most(({ allocated }) => allocated) / 2 ** 20).toFixed(1)} MiB`,
  ];
}
