import { FULL } from "../run/measure_cells.ts";
import type { RunSummary, SummaryRow } from "../run/summary_record.ts";
import { pairedDifference } from "../paired.ts";
import type { Block } from "./blocks.ts";
import { budgetOrder, FEW, isPerplexity, policyOrder, rowsEstimate, scoreText } from "./scores.ts";

/** Policies that know what none may know before it answers. */
const BOUNDS = ["oracle"];

/** One column of a table: its title, and which rows belong to a policy there. */
interface Column {
  readonly title: string;
  readonly rowsOf: (policy: string) => readonly SummaryRow[];
}

/** Scores of one variant: by budget, and by task where there are several. */
export function scoreBlocks(rows: readonly SummaryRow[], summary: RunSummary): readonly Block[] {
  const tasks = [...new Set(rows.map(({ task }) => task))];
  const budgets = budgetOrder(rows);
  const at = (policy: string, budget: string, task?: string) =>
    rows.filter((row) =>
      row.policy === policy && (policy === FULL || row.budget === budget) &&
      (task === undefined || row.task === task)
    );
  const counts = [
    ...new Set(rows.filter(({ policy }) => policy === FULL).map(({ score }) => score.n)),
  ].sort((a, b) => a - b);
  const few = (counts[0] ?? 0) < FEW;
  return [
    {
      kind: "text",
      text: [
        tasks.length > 1
          ? `Mean over all samples of ${tasks.length} tasks, ${counts.join(" to ")} of each,`
          : `Mean over ${counts.join(" to ")} samples,`,
        "with 95 % bootstrap intervals.",
        ...few ? ["These are too few to tell policies apart."] : [
          "Bold: the best policy, and those that a paired bootstrap cannot tell from it.",
        ],
      ].join(" "),
    },
    scoreTable(
      budgets.map((budget) => ({ title: budget, rowsOf: (policy) => at(policy, budget) })),
      summary,
    ),
    ...tasks.length < 2 ? [] : budgets.map((budget) =>
      scoreTable(
        tasks.map((task) => ({ title: task, rowsOf: (policy) => at(policy, budget, task) })),
        summary,
        `By task, budget ${budget}`,
      )
    ),
  ];
}

/** Variants side by side, for each budget. */
export function variantBlocks(summary: RunSummary): readonly Block[] {
  const { rows } = summary;
  const variants = [...new Set(rows.map(({ variant }) => variant))];
  if (variants.length < 2) return [];
  return [
    { kind: "heading", level: 2, text: "All settings side by side" },
    ...budgetOrder(rows).flatMap((budget): Block[] => [
      { kind: "heading", level: 3, text: `Budget ${budget}` },
      scoreTable(
        variants.map((variant) => ({
          title: variant,
          rowsOf: (policy) =>
            rows.filter((row) =>
              row.variant === variant && row.policy === policy &&
              (policy === FULL || row.budget === budget)
            ),
        })),
        summary,
      ),
    ]),
  ];
}

function scoreTable(columns: readonly Column[], summary: RunSummary, folded?: string): Block {
  const { settings: { seed }, metrics } = summary;
  const policies = [FULL, ...policyOrder(summary.rows)];
  const cells = policies.map((policy) =>
    columns.map(({ rowsOf }) => cellText(rowsOf(policy), rowsOf(FULL), metrics, seed))
  );
  const best = columns.flatMap(({ rowsOf }, column) => {
    const bound = new Set(
      summary.settings.policies.filter(({ name }) => BOUNDS.includes(name)).map(({ label }) =>
        label
      ),
    );
    const rivals = policies.filter((policy) => policy !== FULL && !bound.has(policy));
    return leaders(rivals, rowsOf, summary)
      .map((policy) => `${policies.indexOf(policy) + 1},${column + 1}`);
  });
  return {
    kind: "table",
    rows: [
      ["policy", ...columns.map(({ title }) => title)],
      ...policies.map((policy, at) => [
        policy === FULL ? `${FULL} (the ceiling)` : policy,
        ...cells[at] ?? [],
      ]),
    ],
    best: new Set(best),
    ...(folded === undefined ? {} : { folded }),
  };
}

/** A score, and how many samples it comes from where not from as many as the whole cache's. */
function cellText(
  rows: readonly SummaryRow[],
  whole: readonly SummaryRow[],
  metrics: RunSummary["metrics"],
  seed: number,
): string {
  const { mean, interval, n } = rowsEstimate(rows, metrics, seed);
  if (mean === null) return rows.some(({ refused }) => refused > 0) ? "refused" : "–";
  const text = scoreText(mean, interval, rows.some(({ task }) => isPerplexity(task, metrics)));
  const all = whole.reduce((sum, { score }) => sum + score.n, 0);
  return n === all ? text : `${text}, n ${n}`;
}

/** The best policy, and all that may be as good: none where samples are few or nothing scores. */
function leaders(
  policies: readonly string[],
  rowsOf: Column["rowsOf"],
  { settings: { seed }, metrics }: RunSummary,
): readonly string[] {
  const sides = policies.map((policy) => {
    const rows = rowsOf(policy);
    const sign = rows.some(({ task }) => isPerplexity(task, metrics)) ? -1 : 1;
    const scores = new Map(
      rows.flatMap(({ scores }) =>
        Object.entries(scores).map(([id, score]): [string, number] => [id, sign * score])
      ),
    );
    const mean = [...scores.values()].reduce((sum, score) => sum + score, 0) / scores.size;
    return { policy, scores, mean };
  }).filter(({ scores }) => scores.size >= FEW);
  const [first] = sides.toSorted((a, b) => b.mean - a.mean);
  if (!first || first.mean === 0) return [];
  return sides.filter(({ scores }) => {
    const pairs = [...first.scores].flatMap(([id, score]): [number, number][] => {
      const other = scores.get(id);
      return other === undefined ? [] : [[score, other]];
    });
    const { difference: { interval } } = pairedDifference(pairs, seed);
    return interval !== null && interval[0] <= 0;
  }).map(({ policy }) => policy);
}
