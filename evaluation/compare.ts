import { BenchmarkError } from "./benchmarks/errors.ts";
import { compareWarnings } from "./compare_warnings.ts";
import type { RunSummary, SummaryRow } from "./run/summary_record.ts";
import { pairedDifference, type ScorePair } from "./paired.ts";
import type { Estimate } from "./statistics.ts";
import { demandObject } from "../runtime/given.ts";

/** One row that both sides have. */
export interface Comparison extends Pick<SummaryRow, "task" | "variant" | "policy" | "budget"> {
  /** The second side's policy, where it is another one. */
  readonly against: string;
  /** Means of both sides over the samples that both have. */
  readonly scores: readonly [first: number, second: number];
  /** Mean of the first side's score less the second's, sample by sample. */
  readonly difference: Estimate;
  /** Samples where the first side is better, as good, worse. */
  readonly outcomes: readonly [wins: number, ties: number, losses: number];
}

/** Two sides compared. */
export interface ComparisonReport {
  /** One for each row that both sides have. */
  readonly comparisons: readonly Comparison[];
  /** What makes the comparison less than fair. */
  readonly warnings: readonly string[];
}

/** A side of a comparison: a run, and what its prompts were where that is known. */
export interface ComparedRun extends RunSummary {
  /** SHA-256 of the prompts by the ids of the samples. */
  readonly promptHashes?: ReadonlyMap<string, string>;
}

/** Which policies of the two sides are compared, where not those of the same name. */
export interface ComparedPolicies {
  /** Policy of the first side. */
  readonly policy: string;
  /** Policy of the second side. */
  readonly against: string;
}

/**
 * Compares two runs, or two policies of one, sample by sample: intervals are 95 % bootstrap intervals
 * of the mean difference. Samples of one name count as the same if their prompts are, as far as both
 * runs know them and have the same model, whose template is part of the prompt.
 *
 * @param pair Two policies; every policy with its own name if absent.
 * @throws {BenchmarkError} If the runs measured different things or share no samples.
 *
 * @example
 * ```ts
 * import { compareRuns } from "./compare.ts";
 * import type { RunSummary } from "./run/summary_record.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const run = (scores: Record<string, number>): RunSummary => ({
 *   settings: {
 *     format: 1,
 *     benchmark: "niah",
 *     model: { name: "m", fingerprint: "f", precision: "fp32" },
 *     versions: {},
 *     policies: [],
 *     budgets: ["64"],
 *     tasks: ["niah"],
 *     seed: 0,
 *     options: {},
 *   },
 *   metrics: {},
 *   rows: [{
 *     task: "niah",
 *     variant: "",
 *     policy: "snapkv",
 *     budget: "64",
 *     score: { mean: 0, interval: null, n: 2 },
 *     scores,
 *     kept: 0,
 *     bytesBefore: 0,
 *     bytesAfter: 0,
 *     refused: 0,
 *   }],
 *   timings: [],
 * });
 * const [row] = compareRuns(run({ a: 1, b: 1 }), run({ a: 0, b: 1 })).comparisons;
 * assertEquals([row?.difference.mean, row?.outcomes], [0.5, [1, 1, 0]]);
 * ```
 */
export function compareRuns(
  first: ComparedRun,
  second: ComparedRun,
  pair?: ComparedPolicies,
): ComparisonReport {
  demandObject("compare runs", "the first run", first);
  demandObject("compare runs", "the second run", second);
  const [a, b] = [first.settings, second.settings];
  if (a.benchmark !== b.benchmark) {
    throw new BenchmarkError(
      `Cannot compare a run of ${a.benchmark} with one of ${b.benchmark}: give two of the same benchmark`,
    );
  }
  if (pair) {
    requirePolicy(first, pair.policy);
    requirePolicy(second, pair.against);
  }
  const changed = changedPrompts(first, second);
  const comparisons = first.rows.flatMap((row) => {
    if (pair && row.policy !== pair.policy) return [];
    const against = pair?.against ?? row.policy;
    const other = second.rows.find((one) =>
      one.policy === against && one.budget === row.budget && one.task === row.task &&
      one.variant === row.variant
    );
    const lowerIsBetter = first.metrics[row.task] === "perplexity";
    return other ? compareRows(row, other, { seed: a.seed, changed, lowerIsBetter }) : [];
  });
  if (comparisons.length === 0 && changed.size > 0) {
    throw new BenchmarkError(
      `Cannot compare the runs: the prompts of all ${changed.size} samples differ (seeds ${a.seed} and ` +
        `${b.seed}); measure both with the same seed and texts`,
    );
  }
  if (comparisons.length === 0) {
    throw new BenchmarkError(
      "Cannot compare the runs: they have no sample of the same task, variant, policy and budget in " +
        "common; measure both with the same settings, or name policies that both have",
    );
  }
  return {
    comparisons: [...comparisons, ...overTasks(comparisons, a.seed)]
      .map(({ pairs: _, lowerIsBetter: __, ...comparison }) => comparison satisfies Comparison),
    warnings: [
      ...changed.size === 0
        ? []
        : [`${changed.size} samples are left out: their prompts differ between the runs`],
      ...compareWarnings(a, b),
    ],
  };
}

/** A comparison, and the scores that it comes from. */
interface PairedComparison extends Comparison {
  readonly pairs: readonly ScorePair[];
  readonly lowerIsBetter: boolean;
}

interface Comparing {
  readonly seed: number;
  readonly lowerIsBetter: boolean;
}

/** All tasks together, for each variant, policy and budget that has several. */
function overTasks(comparisons: readonly PairedComparison[], seed: number): PairedComparison[] {
  const groups = Map.groupBy(
    comparisons,
    ({ variant, policy, budget }) => JSON.stringify([variant, policy, budget]),
  );
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (!first || group.length < 2) return [];
    return [compared({ ...first, task: "all tasks" }, group.flatMap(({ pairs }) => pairs), {
      seed,
      lowerIsBetter: group.every((one) => one.lowerIsBetter),
    })];
  });
}

function requirePolicy({ rows, settings }: RunSummary, policy: string): void {
  if (rows.some((row) => row.policy === policy)) return;
  const known = [...new Set(rows.map((row) => row.policy))].join(", ");
  throw new BenchmarkError(
    `Cannot compare policy '${policy}': this run of ${settings.benchmark} has ${known}`,
  );
}

/** Samples that have a name in common and nothing else. */
function changedPrompts(first: ComparedRun, second: ComparedRun): ReadonlySet<string> {
  const { promptHashes: known } = second;
  const sameModel = first.settings.model.fingerprint === second.settings.model.fingerprint;
  if (first.promptHashes === undefined || known === undefined || !sameModel) return new Set();
  const changed = [...first.promptHashes].filter(([id, hash]) => (known.get(id) ?? hash) !== hash);
  return new Set(changed.map(([id]) => id));
}

function compareRows(
  row: SummaryRow,
  other: SummaryRow,
  { changed, ...how }: Comparing & { readonly changed: ReadonlySet<string> },
): PairedComparison[] {
  const ids = Object.keys(row.scores)
    .filter((id) => Object.hasOwn(other.scores, id) && !changed.has(id));
  if (ids.length === 0) return [];
  const pairs = ids.map((id): ScorePair => [row.scores[id] ?? 0, other.scores[id] ?? 0]);
  return [compared({ ...row, against: other.policy }, pairs, how)];
}

function compared(
  { task, variant, policy, against, budget }: Pick<
    Comparison,
    "task" | "variant" | "policy" | "against" | "budget"
  >,
  pairs: readonly ScorePair[],
  { seed, lowerIsBetter }: Comparing,
): PairedComparison {
  const { outcomes: [higher, ties, lower], ...found } = pairedDifference(pairs, seed);
  const outcomes = lowerIsBetter ? [lower, ties, higher] as const : [higher, ties, lower] as const;
  return { task, variant, policy, against, budget, pairs, lowerIsBetter, ...found, outcomes };
}
