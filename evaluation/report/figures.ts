import type { TopLevelSpec } from "npm:vega-lite@6.5.0";
import { FULL } from "../run/measure_cells.ts";
import type { RunSummary, SampleRecord, SummaryRow, TimingRow } from "../run/record.ts";
import { estimate } from "../statistics.ts";
import { budgetOrder, isPerplexity, scoreOf } from "./scores.ts";
import { FIGURE_STYLE, renderSvg } from "../render_svg.ts";

/** Colours that differ for most eyes; the full cache is always black. */
const COLOURS = [
  "#2458a6",
  "#c8571b",
  "#2d8a57",
  "#8a4fa3",
  "#b02a4c",
  "#7a6a00",
  "#1e8a99",
  "#6b6b6b",
  "#d48c00",
];

interface Point {
  readonly policy: string;
  readonly budget: string;
  readonly value: number;
}

const WIDTH = 300;
const HEIGHT = 190;

function colour(policies: readonly string[]) {
  return {
    field: "policy",
    type: "nominal" as const,
    title: null,
    legend: { symbolOpacity: 1 },
    scale: {
      domain: policies,
      range: policies.map((_, at) => COLOURS[at % COLOURS.length] ?? "black"),
    },
  };
}

function budgetAxis(budgets: readonly string[]) {
  return {
    field: "budget",
    type: "ordinal" as const,
    title: "budget",
    sort: budgets,
    axis: { labelAngle: 0 },
  };
}

function marks(points: readonly Point[]) {
  return [
    { data: { values: points }, mark: { type: "line" as const, strokeWidth: 1.7 } },
    { data: { values: points }, mark: { type: "point" as const, filled: true, size: 30 } },
  ];
}

/** Score against budget: one panel for each task, and one for all together if there are several. */
export async function accuracyFigure(
  rows: readonly SummaryRow[],
  { settings: { seed }, metrics }: RunSummary,
): Promise<string> {
  const tasks = [...new Set(rows.map(({ task }) => task))];
  const policies = [...new Set(rows.map(({ policy }) => policy))].filter((name) => name !== FULL);
  const budgets = budgetOrder(rows);
  const panel = (title: string, ofPanel: readonly SummaryRow[]) => {
    const perplexity = ofPanel.some(({ task }) => isPerplexity(task, metrics));
    const values = policies.flatMap((policy) =>
      budgets.flatMap((budget): (Point & { low: number; high: number })[] => {
        const scores = ofPanel
          .filter((row) => row.policy === policy && row.budget === budget)
          .flatMap((row) => Object.values(row.scores));
        const { mean, interval } = estimate(scores, seed);
        if (mean === null) return [];
        const [low, high] = interval ?? [mean, mean];
        const shown = (value: number) => scoreOf(value, perplexity);
        return [{ policy, budget, value: shown(mean), low: shown(low), high: shown(high) }];
      })
    );
    const full = estimate(
      ofPanel.filter(({ policy }) => policy === FULL).flatMap((row) => Object.values(row.scores)),
      seed,
    ).mean;
    const ceiling = full === null ? [] : [{ value: scoreOf(full, perplexity) }];
    return {
      title: { text: title, fontSize: 12, anchor: "start" as const },
      width: WIDTH,
      height: HEIGHT,
      encoding: {
        x: budgetAxis(budgets),
        y: {
          field: "value",
          type: "quantitative" as const,
          title: perplexity ? "perplexity" : "score (%)",
          scale: perplexity ? { zero: false } : { domain: [0, 100] },
        },
        color: colour(policies),
      },
      layer: [
        {
          data: { values: ceiling },
          mark: { type: "rule" as const, color: "black", strokeDash: [5, 3] },
          encoding: { x: { value: 0 }, x2: { value: "width" as const }, color: { value: "black" } },
        },
        {
          data: { values },
          mark: { type: "rule" as const, opacity: 0.35 },
          encoding: { y: { field: "low", type: "quantitative" as const }, y2: { field: "high" } },
        },
        ...marks(values),
      ],
    };
  };
  const panels = [
    ...tasks.length > 1 ? [panel("all tasks", rows)] : [],
    ...tasks.map((task) => panel(task, rows.filter((row) => row.task === task))),
  ];
  return await renderSvg({
    ...FIGURE_STYLE,
    title: {
      text: "Score against budget, with 95 % intervals; dashed: the whole cache",
      anchor: "start",
      fontSize: 13,
      offset: 10,
    },
    columns: 2,
    spacing: 26,
    concat: panels,
  } as TopLevelSpec);
}

/** Bytes, and milliseconds, against budget. */
export async function costFigure(
  rows: readonly SummaryRow[],
  timings: readonly TimingRow[],
): Promise<string> {
  const policies = [...new Set(rows.map(({ policy }) => policy))];
  const budgets = [...budgetOrder(rows), "all"];
  const panel = <R extends SummaryRow | TimingRow>(
    title: string,
    from: readonly R[],
    valueOf: (row: R) => number,
  ) => {
    const values = policies.flatMap((policy) =>
      budgets.flatMap((budget): Point[] => {
        const found = from.filter((row) =>
          row.policy === policy && (row.budget ?? "all") === budget
        );
        if (found.length === 0) return [];
        const value = found.reduce((sum, row) => sum + valueOf(row), 0) / found.length;
        return [{ policy, budget, value }];
      })
    );
    return {
      width: WIDTH,
      height: HEIGHT,
      encoding: {
        x: budgetAxis(budgets),
        y: { field: "value", type: "quantitative" as const, title },
        color: colour(policies),
      },
      layer: marks(values),
    };
  };
  const measured = rows.filter((row) => row.score.n > 0);
  return await renderSvg({
    ...FIGURE_STYLE,
    title: { text: "Memory and time against budget", anchor: "start", fontSize: 13, offset: 10 },
    columns: 2,
    spacing: 26,
    concat: [
      panel("cache after eviction (MiB)", measured, ({ bytesAfter }) => bytesAfter / 2 ** 20),
      panel("eviction (ms)", timings.filter(({ policy }) => policy !== FULL), ({ evict }) => evict),
      panel("decoding (ms per token)", timings, ({ decodeToken }) => decodeToken),
    ],
  } as TopLevelSpec);
}

/** Score by depth and length, one map for each policy and budget. */
export async function depthFigure(records: readonly SampleRecord[]): Promise<string> {
  const cells = new Map<string, { map: string; depth: number; length: number; scores: number[] }>();
  for (const { facts: { depth, length }, cells: found } of records) {
    for (const { policy, budget, score, refused } of found) {
      if (typeof depth !== "number" || typeof length !== "number" || refused !== undefined) {
        continue;
      }
      const map = budget === null ? "whole cache" : `${policy}, ${budget}`;
      const key = JSON.stringify([map, depth, length]);
      const cell = cells.get(key) ?? { map, depth, length, scores: [] };
      cell.scores.push(score);
      cells.set(key, cell);
    }
  }
  const values = [...cells.values()].map(({ scores, ...cell }) => ({
    ...cell,
    value: 100 * scores.reduce((sum, score) => sum + score, 0) / scores.length,
  }));
  const maps = [...new Set(values.map(({ map }) => map))];
  const lengths = new Set(values.map(({ length }) => length)).size;
  const depths = new Set(values.map(({ depth }) => depth)).size;
  return await renderSvg({
    ...FIGURE_STYLE,
    title: {
      text: "Score (%) by depth of the needle and length of the prompt",
      anchor: "start",
      fontSize: 13,
      offset: 10,
    },
    columns: Math.max(2, Math.floor(12 / lengths)),
    spacing: 26,
    concat: maps.map((map) => ({
      title: { text: map, fontSize: 12, anchor: "start" as const },
      width: Math.max(120, 52 * lengths),
      height: 20 * depths,
      data: { values: values.filter((value) => value.map === map) },
      encoding: {
        x: { field: "length", type: "ordinal" as const, title: "tokens", axis: { labelAngle: 0 } },
        y: { field: "depth", type: "ordinal" as const, title: "depth (%)" },
      },
      layer: [
        {
          mark: { type: "rect" as const },
          encoding: {
            color: {
              field: "value",
              type: "quantitative" as const,
              title: "score (%)",
              scale: { domain: [0, 50, 100], range: ["#c8571b", "#f3e7c4", "#2d8a57"] },
            },
          },
        },
        {
          mark: { type: "text" as const, fontSize: 10 },
          encoding: { text: { field: "value", type: "quantitative" as const, format: ".0f" } },
        },
      ],
    })),
  } as TopLevelSpec);
}
