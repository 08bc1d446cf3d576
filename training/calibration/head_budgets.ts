/**
 * Divides budgets among heads by what each keeps of some utility: for every percentage that is dropped in all,
 * the share that each head drops, so that the least utility is lost. Curves are replaced by their upper concave
 * hulls, so that always taking what gains most next is best.
 *
 * @param curves Of each head what it keeps when it keeps 0, 1, … 100 % of its tokens.
 * @returns `[99 × heads]`: rows of 1 to 99 % dropped.
 */
export function headBudgets(curves: readonly Float64Array[]): Float32Array {
  const heads = curves.length;
  const steps = curves.flatMap((curve, head) =>
    hullOf(curve).map(({ from, to, slope }) => ({ head, width: to - from, slope }))
  ).sort((a, b) => b.slope - a.slope);
  const dropped = new Float32Array(99 * heads);
  for (let percent = 1; percent <= 99; percent++) {
    let left = (100 - percent) * heads;
    const kept = new Float64Array(heads);
    for (const { head, width } of steps) {
      const taken = Math.min(width, left);
      kept[head] = (kept[head] ?? 0) + taken;
      left -= taken;
      if (left <= 0) break;
    }
    kept.forEach((share, head) => dropped[(percent - 1) * heads + head] = 1 - share / 100);
  }
  return dropped;
}

/** A straight piece of a curve's upper concave hull. */
interface Piece {
  readonly from: number;
  readonly to: number;
  readonly slope: number;
}

function hullOf(curve: Float64Array): readonly Piece[] {
  const corners: number[] = [];
  const slope = (from: number, to: number) => ((curve[to] ?? 0) - (curve[from] ?? 0)) / (to - from);
  for (const at of curve.keys()) {
    while (corners.length >= 2) {
      const [before, last] = corners.slice(-2);
      if (before === undefined || last === undefined) break;
      if (slope(before, last) > slope(last, at)) break;
      corners.pop();
    }
    corners.push(at);
  }
  return corners.slice(1).map((to, index) => {
    const from = corners[index] ?? 0;
    return { from, to, slope: slope(from, to) };
  });
}
