import type { TopLevelSpec } from "npm:vega-lite@6.5.0";
import { FIGURE_STYLE, renderSvg } from "../evaluation/render_svg.ts";
import { type Curve, curvesOf, type Panel } from "./curves.ts";
import { TrainingError } from "./errors.ts";
import type { LogEntry } from "./log.ts";

/** Options of {@linkcode drawCurves}. */
export interface FigureOptions {
  /** Stands above the curves. @default {"Training"} */
  readonly title?: string;
}

const WIDTH = 640;
const HEIGHT = 150;

/** Curves of so few points show them as dots; a single point would not show otherwise. */
const DOTTED = 40;

/** A loss that spans more than this factor needs a logarithmic axis. */
const LOGARITHMIC = 20;

/** Numbers below are written as powers of ten. */
const SMALL = 1e-3;

const COLOURS = ["#2458a6", "#c8571b", "#2d8a57", "#8a4fa3", "#7a6a00", "#b02a4c"];
const LOSS_COLOURS = ["#b9c9e0", "#2458a6", "#c8571b"];

/**
 * Draws the curves of a training run: loss, critical hit rate, attention mass and learning rate, one
 * panel for each that the log has, over the optimiser's steps.
 *
 * @param entries Lines of the log.
 * @returns The text of an SVG file.
 * @throws {TrainingError} If there is nothing to draw.
 *
 * @example
 * ```ts
 * import { drawCurves } from "./figure.ts";
 * import { assert } from "@std/assert";
 *
 * const svg = await drawCurves([{ step: 1, loss: 0.5 }, { step: 2, loss: 0.25 }]);
 * assert(svg.startsWith("<svg"));
 * ```
 */
export async function drawCurves(
  entries: readonly LogEntry[],
  { title = "Training" }: FigureOptions = {},
): Promise<string> {
  const panels = curvesOf(entries);
  if (panels.length === 0) {
    throw new TrainingError("Cannot draw the curves: the log has none yet; train for a step first");
  }
  return await renderSvg(specification(title, panels));
}

function specification(title: string, panels: readonly Panel[]): TopLevelSpec {
  const last = Math.max(
    ...panels.flatMap(({ curves }) => curves.map(({ points }) => points.at(-1)?.step ?? 0)),
  );
  return {
    ...FIGURE_STYLE,
    title: { text: title, anchor: "start", fontSize: 15, offset: 12 },
    spacing: 24,
    vconcat: panels.map((panel) => panelSpecification(panel, last)),
    resolve: { scale: { color: "independent" } },
    config: {
      ...FIGURE_STYLE.config,
      legend: { ...FIGURE_STYLE.config.legend, symbolType: "stroke", symbolStrokeWidth: 3 },
    },
  };
}

function panelSpecification({ title, unit, curves }: Panel, last: number) {
  const names = curves.map(({ name }) => name);
  const colours = title === "loss" ? lossColours(names) : COLOURS;
  const range = names.map((_, index) => colours[index % colours.length] ?? "black");
  const rows = (chosen: readonly Curve[]) =>
    chosen.flatMap(({ name, points }) => points.map((point) => ({ ...point, curve: name })));
  const { lowest, highest } = bounds(curves);
  const scale = title === "loss" && lowest > 0 && highest / lowest > LOGARITHMIC
    ? { type: "log" as const }
    : { zero: title === "learning rate", nice: true };
  const format = unit === "share" ? ".0%" : highest < SMALL ? ".2~e" : "~g";
  const encoding = {
    x: {
      field: "step",
      type: "quantitative" as const,
      title: "optimiser steps",
      axis: { format: ",d", tickMinStep: 1 },
      scale: { domain: [0, Math.max(1, last)], nice: false },
    },
    y: {
      field: "value",
      type: "quantitative" as const,
      title: unit === "share" ? `${title} (%)` : title,
      axis: { format, tickCount: 5 },
      scale,
    },
    color: {
      field: "curve",
      type: "nominal" as const,
      title: null,
      scale: { domain: names, range },
    },
  };
  const dotted = curves.filter(({ points }) => points.length <= DOTTED);
  return {
    width: WIDTH,
    height: HEIGHT,
    encoding,
    layer: [
      {
        data: { values: rows(curves) },
        mark: { type: "line" as const, strokeWidth: 1.5, strokeJoin: "round" as const },
      },
      ...dotted.length === 0 ? [] : [{
        data: { values: rows(dotted) },
        mark: { type: "point" as const, filled: true, size: 24 },
      }],
    ],
  };
}

function lossColours(names: readonly string[]): readonly string[] {
  return names.includes("each step") ? LOSS_COLOURS : LOSS_COLOURS.slice(2);
}

function bounds(curves: readonly Curve[]): { lowest: number; highest: number } {
  const values = curves.flatMap(({ points }) => points.map(({ value }) => value));
  return { lowest: Math.min(...values), highest: Math.max(...values) };
}
