import { headBudgets } from "./head_budgets.ts";

/** Shares of some utility, from 0 to 1. */
export interface KeptShares {
  /** With the same budget for each head. */
  readonly even: number;
  /** With budgets that were measured with the other prompts. */
  readonly divided: number;
}

/**
 * What budgets of heads are worth on a prompt that they were not measured with: each prompt is left out in turn.
 *
 * @param prompts Of each prompt the curve of each head: what it keeps at 0, 1, … 100 % of its tokens.
 * @param percent Tokens that are kept in all, from 1 to 99 %.
 * @returns Means over the prompts; `undefined` for fewer than two.
 */
export function leftOutShares(
  prompts: readonly (readonly Float64Array[])[],
  percent: number,
): KeptShares | undefined {
  if (prompts.length < 2) return undefined;
  const sum = summed(prompts);
  const shares = prompts.map((curves) => {
    const others = sum.map((curve, head) =>
      curve.map((all, at) => all - (curves[head]?.[at] ?? 0))
    );
    const heads = curves.length;
    const dropped = headBudgets(others).subarray((99 - percent) * heads, (100 - percent) * heads);
    const whole = curves.reduce((total, curve) => total + (curve.at(-1) ?? 0), 0) || 1;
    const kept = (percentOf: (head: number) => number) =>
      curves.reduce((total, curve, head) => total + at(curve, percentOf(head)), 0) / whole;
    return { even: kept(() => percent), divided: kept((head) => 100 * (1 - (dropped[head] ?? 0))) };
  });
  const mean = (pick: (one: KeptShares) => number) =>
    shares.reduce((total, one) => total + pick(one), 0) / shares.length;
  return { even: mean(({ even }) => even), divided: mean(({ divided }) => divided) };
}

/** The curves of all prompts together, head by head. */
export function summed(prompts: readonly (readonly Float64Array[])[]): readonly Float64Array[] {
  const [first = []] = prompts;
  return first.map((_, head) =>
    Float64Array.from(
      { length: first[head]?.length ?? 0 },
      (_, at) => prompts.reduce((sum, curves) => sum + (curves[head]?.[at] ?? 0), 0),
    )
  );
}

/** A curve between two of its points. */
function at(curve: Float64Array, percent: number): number {
  const below = Math.floor(percent);
  const [first = 0, second = first] = curve.subarray(below, below + 2);
  return first + (percent - below) * (second - first);
}
