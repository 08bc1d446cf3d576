import { isRecord } from "../runtime/checkpoint/read_json.ts";
import type { LogEntry } from "./log.ts";

/** One point of a curve. */
export interface CurvePoint {
  /** Optimiser steps taken. */
  readonly step: number;
  /** Always finite. */
  readonly value: number;
}

/** One curve of a panel. */
export interface Curve {
  /** As the legend names it. */
  readonly name: string;
  /** By rising step; never empty. */
  readonly points: readonly CurvePoint[];
}

/** Curves that share their axes. */
export interface Panel {
  /** Title of the vertical axis, with its unit. */
  readonly title: string;
  /** `share` is from 0 to 1. */
  readonly unit: "share" | "number";
  /** Never empty. */
  readonly curves: readonly Curve[];
}

/** Part of the newest loss in the smoothed one. */
const SMOOTHING = 0.05;

/** More points per curve than a figure has columns show nothing more. */
const MAX_POINTS = 600;

/**
 * Takes the curves of a training run out of its log: `loss` as it is, smoothed, and of the
 * validation; `hitRate` and `attentionMass` of the validation, each a number or one number per
 * budget; `rate`. The measures of a validation stand in the entry or in its field `validation`.
 * Values that are not finite are left out, long curves are thinned so that their peaks stay.
 */
export function curvesOf(entries: readonly LogEntry[]): readonly Panel[] {
  const sorted = entries.toSorted((a, b) => a.step - b.step);
  const loss = pointsOf(sorted, (entry) => entry.loss);
  const measured = (name: string) =>
    curvesByBudget(sorted, (entry) => {
      const { validation } = entry;
      return isRecord(validation) ? validation[name] : entry[name];
    });
  const validationLoss = pointsOf(
    sorted,
    ({ validation }) => isRecord(validation) ? validation.loss : undefined,
  );
  const panels: readonly Panel[] = [
    {
      title: "loss",
      unit: "number",
      curves: [
        { name: "each step", points: loss },
        { name: "smoothed", points: smooth(loss) },
        { name: "validation", points: validationLoss },
      ],
    },
    { title: "critical hit rate", unit: "share", curves: measured("hitRate") },
    { title: "attention mass kept", unit: "share", curves: measured("attentionMass") },
    {
      title: "learning rate",
      unit: "number",
      curves: [{ name: "learning rate", points: pointsOf(sorted, (entry) => entry.rate) }],
    },
  ];
  return panels
    .map((panel) => ({
      ...panel,
      curves: panel.curves.filter(({ points }) => points.length > 0)
        .map(({ name, points }) => ({ name, points: thin(points) })),
    }))
    .filter(({ curves }) => curves.length > 0);
}

function pointsOf(
  entries: readonly LogEntry[],
  valueOf: (entry: LogEntry) => unknown,
): readonly CurvePoint[] {
  return entries.flatMap((entry) => {
    const value = valueOf(entry);
    return typeof value === "number" && Number.isFinite(value) ? [{ step: entry.step, value }] : [];
  });
}

function curvesByBudget(
  entries: readonly LogEntry[],
  valueOf: (entry: LogEntry) => unknown,
): readonly Curve[] {
  const budgets = new Set(entries.flatMap((entry) => {
    const value = valueOf(entry);
    return isRecord(value) ? Object.keys(value) : [];
  }));
  const byBudget = [...budgets].sort((a, b) => Number(a) - Number(b)).map((budget) => ({
    name: `budget ${budget}`,
    points: pointsOf(entries, (entry) => {
      const value = valueOf(entry);
      return isRecord(value) ? value[budget] : undefined;
    }),
  }));
  return [{ name: "validation", points: pointsOf(entries, valueOf) }, ...byBudget];
}

function smooth(points: readonly CurvePoint[]): readonly CurvePoint[] {
  let mean = points[0]?.value ?? 0;
  return points.map(({ step, value }) => ({ step, value: mean += SMOOTHING * (value - mean) }));
}

/** Keeps the ends, and of each stretch the lowest and the highest point. */
function thin(points: readonly CurvePoint[]): readonly CurvePoint[] {
  if (points.length <= MAX_POINTS) return points;
  const stretch = Math.ceil(points.length / (MAX_POINTS / 2 - 1));
  const kept = new Set([points[0], points.at(-1)]);
  for (let from = 0; from < points.length; from += stretch) {
    const part = points.slice(from, from + stretch);
    kept.add(part.reduce((low, point) => point.value < low.value ? point : low));
    kept.add(part.reduce((high, point) => point.value > high.value ? point : high));
  }
  return points.filter((point) => kept.has(point));
}
