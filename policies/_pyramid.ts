import type { BudgetAllocator } from "./policy.ts";

/** The option that says how steep a pyramid is. */
export const betaOption = {
  kind: "number",
  min: 1,
  default: 20,
  about: "how steep: the last layer gets the average divided by this",
} as const;

/** How {@linkcode pyramid} divides a budget. */
export interface PyramidShape {
  /** Tokens that every layer keeps in any case. */
  readonly window: number;
  /** How steep: the last layer gets the average divided by this. */
  readonly beta: number;
  /**
   * `"authors"`: the window comes on top of what is divided. `"kvpress"`: the whole budget is
   * divided, evenly where the last layer would get less than the window.
   */
  readonly variant: "authors" | "kvpress";
}

/**
 * Divides a budget among the layers: most for the first, linearly less for each further one
 * (PyramidKV). A layer's real-valued share is rounded so that the shares of the first layers, summed,
 * round to what they give out: the total is exact.
 */
export function pyramid({ window, beta, variant }: PyramidShape): BudgetAllocator {
  return ({ layers, length, budget }) => {
    const even = () => new Array<number>(layers).fill(budget);
    const base = variant === "authors" ? window : 0;
    const average = budget - base;
    let last = average / beta;
    let first = 2 * average - last;
    if (first > length - window) {
      first = length - window;
      last = 2 * average - first;
    }
    const possible = variant === "authors"
      ? last > 0
      : length >= first && first >= last && last >= window;
    if (layers === 1 || !possible) return even();
    const step = (first - last) / (layers - 1);
    // Sum of the shares of layers 0 to `layer`.
    const given = (layer: number) =>
      Math.round((layer + 1) * (base + first) - step * layer * (layer + 1) / 2);
    return Array.from(
      { length: layers },
      (_, layer) => given(layer) - (layer === 0 ? 0 : given(layer - 1)),
    );
  };
}
