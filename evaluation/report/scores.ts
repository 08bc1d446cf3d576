import { FULL } from "../run/measure_cells.ts";
import type { RunSummary, SummaryRow } from "../run/summary_record.ts";
import { type Estimate, estimate, type Interval, shareEstimate } from "../statistics.ts";

/** Samples below which an interval says little. */
export const FEW = 5;

/** Whether the scores of a task are mean negative log-likelihoods. */
export function isPerplexity(task: string, metrics: RunSummary["metrics"]): boolean {
  return metrics[task] === "perplexity";
}

/** A score as people read it: per cent, or perplexity. */
export function scoreOf(score: number, perplexity: boolean): number {
  return perplexity ? Math.exp(score) : 100 * score;
}

/** A score and its interval as text. */
export function scoreText(
  mean: number | null,
  interval: Interval | null,
  perplexity: boolean,
): string {
  if (mean === null) return "–";
  const text = (value: number) => scoreOf(value, perplexity).toFixed(perplexity ? 2 : 1);
  return interval ? `${text(mean)} (${interval.map(text).join("–")})` : text(mean);
}

/** All samples of some rows together. */
export function rowsEstimate(
  rows: readonly SummaryRow[],
  metrics: RunSummary["metrics"],
  seed: number,
): Estimate {
  const scores = rows.flatMap((row) => Object.values(row.scores));
  return rows.some(({ task }) => isPerplexity(task, metrics))
    ? estimate(scores, seed)
    : shareEstimate(scores, seed);
}

/** Budgets in the order in which they were given. */
export function budgetOrder(rows: readonly SummaryRow[]): readonly string[] {
  const budgets = rows.flatMap(({ budget }) => budget === null ? [] : [budget]);
  return [...new Set(budgets)];
}

/** Policies in the order in which they were given, the whole cache left out. */
export function policyOrder(rows: readonly SummaryRow[]): readonly string[] {
  return [...new Set(rows.map(({ policy }) => policy))].filter((policy) => policy !== FULL);
}
