import type { SampleRecord } from "../run/record.ts";
import { mean } from "../statistics.ts";
import { draw } from "./draw.ts";
import { HEAT_NUMBERS, heatColour } from "./palette.ts";

/** One square of a map. */
interface DepthCell {
  readonly map: string;
  readonly depth: number;
  readonly length: number;
  readonly scores: number[];
}

/**
 * Score by depth and length at one budget, one map for each policy and one for the whole cache.
 *
 * @param records Samples whose facts have a depth and a length.
 */
export function depthFigure(records: readonly SampleRecord[], budget: string): Promise<string> {
  const values = depthCells(records, budget)
    .map(({ scores, ...cell }) => ({ ...cell, value: 100 * mean(scores) }));
  const maps = [...new Set(values.map(({ map }) => map))];
  const lengths = new Set(values.map(({ length }) => length)).size;
  const depths = new Set(values.map(({ depth }) => depth)).size;
  return draw(
    `Score (%) by depth and length, budget ${budget}`,
    `Score by depth of the needle and length of the prompt at budget ${budget}: ${maps.join(", ")}`,
    {
      columns: Math.max(1, Math.floor(12 / Math.max(3, lengths))),
      concat: maps.map((map) => ({
        title: { text: map, fontSize: 12, anchor: "start", limit: 200 },
        width: Math.max(130, 44 * lengths),
        height: 19 * depths,
        data: { values: values.filter((value) => value.map === map) },
        encoding: {
          x: {
            field: "length",
            type: "ordinal",
            title: "tokens",
            axis: { labelAngle: 0, grid: false },
          },
          y: { field: "depth", type: "ordinal", title: "depth (%)", axis: { grid: false } },
        },
        layer: [
          { mark: "rect", encoding: { color: heatColour("score (%)") } },
          HEAT_NUMBERS,
        ],
      })),
    },
  );
}

function depthCells(records: readonly SampleRecord[], chosen: string): readonly DepthCell[] {
  const cells = new Map<string, DepthCell>();
  for (const { facts: { depth, length }, cells: found } of records) {
    if (typeof depth !== "number" || typeof length !== "number") continue;
    for (const { policy, budget, score, refused } of found) {
      if (refused !== undefined || (budget !== null && budget !== chosen)) continue;
      const map = budget === null ? "whole cache" : policy;
      const key = JSON.stringify([map, depth, length]);
      const cell = cells.get(key) ?? { map, depth, length, scores: [] };
      cell.scores.push(score);
      cells.set(key, cell);
    }
  }
  return [...cells.values()];
}
