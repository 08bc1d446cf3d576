import type { Estimate } from "../statistics.ts";
import { policyChannels } from "./palette.ts";

/** A value and its interval, as the axis has them. */
export interface CurvePoint {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** The point of an estimate, if it has a mean; without an interval, `low` and `high` are the mean. */
export function curvePoints(
  { mean, interval }: Pick<Estimate, "mean" | "interval">,
  onAxis: (value: number) => number,
): readonly CurvePoint[] {
  if (mean === null) return [];
  const [low, high] = interval ?? [mean, mean];
  return [{ value: onAxis(mean), low: onAxis(low), high: onAxis(high) }];
}

/** What {@linkcode curves} draws. */
export interface CurvesRequest {
  /** All policies of the report: colours and signs go by their order. */
  readonly policies: readonly string[];
  readonly budgets: readonly string[];
  readonly values: readonly (CurvePoint & { readonly policy: string; readonly budget: string })[];
  /** The whole cache: a band and a dashed line, if there is one. */
  readonly whole: readonly CurvePoint[];
  readonly y: { readonly title: string; readonly scale: object };
}

/** Values against budget, one curve for each policy, with intervals: a panel of a figure. */
export function curves({ policies, budgets, values, whole, y: { title, scale } }: CurvesRequest) {
  const { color, shape } = policyChannels(policies);
  const y = { field: "value", type: "quantitative", title, scale };
  const across = { x: { value: 0 }, x2: { value: "width" } };
  const inPlace = {
    x: {
      field: "budget",
      type: "ordinal",
      title: "budget",
      sort: budgets,
      scale: { type: "band", paddingInner: 0.35, paddingOuter: 0.15 },
      axis: { labelAngle: 0, grid: false },
    },
    // Side by side, so that the intervals of all are seen.
    xOffset: { field: "policy", scale: { domain: policies } },
    y,
    color,
  };
  const between = { y: { ...y, field: "low" }, y2: { field: "high" } };
  return {
    layer: [
      {
        data: { values: whole },
        mark: { type: "rect", color: "#888888", opacity: 0.18 },
        encoding: { ...across, ...between },
      },
      {
        data: { values: whole },
        mark: { type: "rule", color: "#444444", strokeDash: [5, 3] },
        encoding: { ...across, y },
      },
      {
        data: { values },
        mark: { type: "rule", opacity: 0.45 },
        encoding: { ...inPlace, ...between },
      },
      { data: { values }, mark: { type: "line", strokeWidth: 1.5 }, encoding: inPlace },
      {
        data: { values },
        mark: { type: "point", filled: true, size: 34, opacity: 1 },
        encoding: { ...inPlace, shape },
      },
    ],
  };
}
