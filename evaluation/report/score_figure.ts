import { FULL } from "../run/measure_cells.ts";
import type { RunSummary, SummaryRow } from "../run/summary_record.ts";
import { draw } from "./draw.ts";
import { curvePoints, curves } from "./curves.ts";
import { budgetOrder, isPerplexity, policyOrder, rowsEstimate, scoreOf } from "./scores.ts";

/** Panels of one figure, so that no file grows large. */
const PANELS = 6;

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Score against budget over all tasks of some rows. */
export function scoreFigure(rows: readonly SummaryRow[], summary: RunSummary): Promise<string> {
  return draw(
    "Score against budget; grey: the whole cache",
    "Score of each policy against budget, with 95 % intervals, beside that of the whole cache",
    panel(rows, summary, { width: 620, height: 280 }),
  );
}

/** Score against budget, task by task, in as many figures as it takes. */
export function taskFigures(
  rows: readonly SummaryRow[],
  summary: RunSummary,
): Promise<readonly string[]> {
  const tasks = [...new Set(rows.map(({ task }) => task))];
  const count = Math.ceil(tasks.length / PANELS);
  const size = Math.ceil(tasks.length / count);
  const groups = Array.from({ length: count }, (_, at) => tasks.slice(size * at, size * (at + 1)));
  return Promise.all(groups.map((group) =>
    draw(
      "Score against budget by task; grey: the whole cache",
      `Score of each policy against budget in ${group.join(", ")}`,
      {
        columns: 2,
        concat: group.map((task) => ({
          title: { text: task, fontSize: 12, anchor: "start" },
          ...panel(rows.filter((row) => row.task === task), summary, { width: 300, height: 170 }),
        })),
      },
    )
  ));
}

function panel(
  rows: readonly SummaryRow[],
  { settings: { seed }, metrics, rows: all }: RunSummary,
  size: Size,
) {
  const policies = policyOrder(all);
  const budgets = budgetOrder(rows);
  const perplexity = rows.some(({ task }) => isPerplexity(task, metrics));
  const estimated = (chosen: readonly SummaryRow[]) =>
    curvePoints(rowsEstimate(chosen, metrics, seed), (score) => scoreOf(score, perplexity));
  const values = policies.flatMap((policy) =>
    budgets.flatMap((budget) =>
      estimated(rows.filter((row) => row.policy === policy && row.budget === budget))
        .map((point) => ({ policy, budget, ...point }))
    )
  );
  const whole = estimated(rows.filter(({ policy }) => policy === FULL));
  const y = perplexity
    ? { title: "perplexity", scale: { zero: false } }
    : { title: "score (%)", scale: { domain: [0, 100] } };
  return { ...size, ...curves({ policies, budgets, values, whole, y }) };
}
