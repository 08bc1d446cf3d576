import { FULL } from "../run/measure_cells.ts";
import type { RunSummary, SummaryRow, TimingRow } from "../run/summary_record.ts";
import { mean } from "../statistics.ts";
import { draw } from "./draw.ts";
import { policyChannels } from "./palette.ts";
import { budgetOrder, policyOrder } from "./scores.ts";

const SIZE = { width: 300, height: 170 };

/** Bytes, and milliseconds, against budget, of the rows of one variant. */
export function costFigure(
  rows: readonly SummaryRow[],
  timings: readonly TimingRow[],
  { rows: all }: RunSummary,
): Promise<string> {
  const policies = policyOrder(all);
  const budgets = budgetOrder(rows);
  const { color, shape } = policyChannels(policies);
  const panel = <R extends SummaryRow | TimingRow>(
    title: string,
    from: readonly R[],
    valueOf: (row: R) => number,
  ) => {
    const average = (policy: string, budget: string | null) => {
      const found = from.filter((row) => row.policy === policy && row.budget === budget);
      return found.length === 0 ? [] : [{ policy, budget, value: mean(found.map(valueOf)) }];
    };
    const values = policies.flatMap((policy) =>
      budgets.flatMap((budget) => average(policy, budget))
    );
    const y = { field: "value", type: "quantitative", title, scale: { zero: true } };
    const encoding = {
      x: {
        field: "budget",
        type: "ordinal",
        title: "budget",
        sort: budgets,
        axis: { labelAngle: 0, grid: false },
      },
      y,
      color,
    };
    return {
      ...SIZE,
      layer: [
        {
          data: { values: average(FULL, null) },
          mark: { type: "rule", color: "#444444", strokeDash: [5, 3] },
          encoding: { x: { value: 0 }, x2: { value: "width" }, y },
        },
        { data: { values }, mark: { type: "line", strokeWidth: 1.5 }, encoding },
        {
          data: { values },
          mark: { type: "point", filled: true, size: 34, opacity: 1 },
          encoding: { ...encoding, shape },
        },
      ],
    };
  };
  const measured = rows.filter((row) => row.score.n > 0);
  return draw(
    "Memory and time against budget; dashed: the whole cache",
    "Bytes of the cache, and milliseconds of eviction, first token and decoding, against budget",
    {
      columns: 2,
      concat: [
        panel("cache after eviction (MiB)", measured, ({ bytesAfter }) => bytesAfter / 2 ** 20),
        panel("decoding (ms per token)", timings, ({ decodeToken }) => decodeToken),
        panel("eviction (ms)", timings, ({ evict }) => evict),
        panel("reading and eviction (ms)", timings, ({ prefill, evict }) => prefill + evict),
      ],
    },
  );
}
