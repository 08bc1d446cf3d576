import { FULL } from "../run/measure_cells.ts";
import type { RunSummary, SummaryRow, TimingRow } from "../run/summary_record.ts";
import { mean } from "../statistics.ts";
import { budgetOrder, policyOrder } from "./scores.ts";

/** A policy on the leaderboard of one variant. */
export interface Standing {
  /** The policy, as it was written; `full` is the whole cache. */
  readonly policy: string;
  /** Mean over the tasks of their scores, in per cent, by budget; `null` where it was refused. */
  readonly scores: readonly (number | null)[];
  /** Mean of these, those that were refused left out; `null` where all were. */
  readonly mean: number | null;
  /** Bytes of the cache after eviction, by budget. */
  readonly bytes: readonly number[];
  /** Milliseconds that evicting took, on average over the budgets: evidence, choice and compaction. */
  readonly evict: number;
}

/** How policies stand where the question is asked in one way. */
export interface Board {
  /** What its samples share. */
  readonly variant: string;
  /** The whole cache. */
  readonly full: Standing;
  /** All policies, the best first. */
  readonly standings: readonly Standing[];
  /** Milliseconds of reading the prompts. */
  readonly prefill: number;
}

/**
 * Ranks the policies of a run, variant by variant: each task counts the same.
 *
 * @example
 * ```ts
 * import { boardsOf } from "./boards.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const row = (policy: string, budget: string | null, score: number) => ({
 *   ...{ task: "vt", variant: "4096", policy, budget, scores: { a: score } },
 *   ...{ score: { mean: score, interval: null, n: 1 }, kept: 1, bytesBefore: 8, bytesAfter: 4 },
 *   refused: 0,
 * });
 * const rows = [row("full", null, 1), row("random", "0.5", 0.2), row("snapkv", "0.5", 0.9)];
 * const [board] = boardsOf({ rows, timings: [] });
 * assertEquals(board?.standings.map(({ policy, mean }) => [policy, mean]), [["snapkv", 90], [
 *   "random",
 *   20,
 * ]]);
 * ```
 */
export function boardsOf(
  { rows, timings }: Pick<RunSummary, "rows" | "timings">,
): readonly Board[] {
  const budgets = budgetOrder(rows);
  const variants = [...new Set(rows.map(({ variant }) => variant))];
  return variants.map((variant) => {
    const own = rows.filter((row) => row.variant === variant);
    const times = timings.filter((row) => row.variant === variant);
    const standings = policyOrder(rows).map((policy) => standing(policy, budgets, own, times));
    return {
      variant,
      full: standing(FULL, [null], own, times),
      standings: standings.toSorted((a, b) => (b.mean ?? -1) - (a.mean ?? -1)),
      prefill: meanOf(times.filter(({ policy }) => policy === FULL), ({ prefill }) => prefill),
    };
  });
}

function standing(
  policy: string,
  budgets: readonly (string | null)[],
  rows: readonly SummaryRow[],
  timings: readonly TimingRow[],
): Standing {
  const at = (budget: string | null) =>
    rows.filter((row) => row.policy === policy && row.budget === budget && row.score.n > 0);
  const scores = budgets.map((budget) => {
    const found = at(budget);
    return found.length === 0 ? null : 100 * meanOf(found, ({ score }) => score.mean ?? 0);
  });
  const given = scores.filter((score) => score !== null);
  return {
    policy,
    scores,
    mean: given.length === 0 ? null : mean(given),
    bytes: budgets.map((budget) => meanOf(at(budget), ({ bytesAfter }) => bytesAfter)),
    evict: meanOf(timings.filter((row) => row.policy === policy), ({ evict }) => evict),
  };
}

function meanOf<Row>(rows: readonly Row[], valueOf: (row: Row) => number): number {
  return rows.length === 0 ? 0 : mean(rows.map(valueOf));
}
