import { FULL } from "../run/measure_cells.ts";
import type { SampleRecord } from "../run/record.ts";
import type { RunSummary, SummaryRow } from "../run/summary_record.ts";
import { mean } from "../statistics.ts";
import type { Block } from "./blocks.ts";
import { costFigure } from "./cost_figure.ts";
import { depthFigure } from "./depth_figure.ts";
import { mixtureBlocks } from "./machines.ts";
import { scoreFigure, taskFigures } from "./score_figure.ts";
import { scoreBlocks, variantBlocks } from "./score_tables.ts";
import { budgetOrder } from "./scores.ts";
import { settingsBlocks } from "./settings_table.ts";

/** What a report shows, in order. */
export async function reportBlocks(
  summary: RunSummary,
  records: readonly SampleRecord[],
): Promise<readonly Block[]> {
  const { settings: { benchmark, model }, rows } = summary;
  const variants = [...new Set(rows.map(({ variant }) => variant))];
  const suffix = (at: number) => variants.length > 1 ? `_${at + 1}` : "";
  const of = <R extends { variant: string }>(from: readonly R[], variant: string) =>
    from.filter((row) => row.variant === variant);
  const scores = await Promise.all(
    variants.map((variant, at) => variantReport(variant, of(rows, variant), summary, suffix(at))),
  );
  const costs = await Promise.all(variants.map(async (variant, at): Promise<Block[]> => [
    { kind: "heading", level: 3, text: variant },
    {
      kind: "figure",
      file: `cost${suffix(at)}.svg`,
      text: `Memory and time against budget: ${variant}`,
      svg: await costFigure(of(rows, variant), of(summary.timings, variant), summary),
    },
    costTable(of(rows, variant), summary, variant),
  ]));
  return [
    { kind: "heading", level: 1, text: `${benchmark} on ${model.name}` },
    { kind: "text", text: opening(summary, records) },
    ...mixtureBlocks(records),
    ...variantBlocks(summary),
    ...await depthReport(records, rows),
    ...scores.flat(),
    { kind: "heading", level: 2, text: "Memory and time" },
    {
      kind: "text",
      text: "Bytes are those that were allocated, milliseconds those that were measured. What " +
        "policies observe while the prompt is read is part of reading it, which all share.",
    },
    ...costs.flat(),
    ...settingsBlocks(summary, records),
  ];
}

function opening({ settings }: RunSummary, records: readonly SampleRecord[]): string {
  const { tasks, policies, budgets, seed } = settings;
  const named = policies.filter(({ name }) => name !== FULL).length;
  return `${records.length} prompts of ${tasks.length} ${tasks.length === 1 ? "task" : "tasks"}, ` +
    `${named} ${named === 1 ? "policy" : "policies"}, budgets ${budgets.join(", ")}, seed ` +
    `${seed}. What the model does with its whole cache stands beside every score: the ceiling. Where ` +
    "a policy passes it, look at the intervals first.";
}

/** How the question was asked, for those who do not know the names of settings. */
function questionText(variant: string): readonly Block[] {
  const [text] = [
    ["question last", "The question stands last, and policies see it when they judge."],
    [
      "question after eviction",
      "The question follows when the eviction is done: policies judge without it.",
    ],
    ["question first", "The question stands before the text, and nothing follows the text."],
  ].flatMap(([name = "", sentence = ""]) => variant.endsWith(name) ? [sentence] : []);
  return text === undefined ? [] : [{ kind: "text", text }];
}

async function variantReport(
  variant: string,
  rows: readonly SummaryRow[],
  summary: RunSummary,
  suffix: string,
): Promise<readonly Block[]> {
  const [table, ...details] = scoreBlocksOf(rows, summary);
  const tasks = new Set(rows.map(({ task }) => task)).size;
  const figures = tasks < 2 ? [] : await taskFigures(rows, summary);
  return [
    { kind: "heading", level: 2, text: variant },
    ...questionText(variant),
    ...table ?? [],
    {
      kind: "figure",
      file: `score${suffix}.svg`,
      text: `Score against budget: ${variant}`,
      svg: await scoreFigure(rows, summary),
    },
    ...details.flat(),
    ...figures.map((svg, at): Block => ({
      kind: "figure",
      file: `tasks${suffix}${figures.length > 1 ? `_part_${at + 1}` : ""}.svg`,
      text: `Score against budget by task: ${variant}`,
      svg,
    })),
    ...refusalBlocks(rows),
  ];
}

/** The overview first, what is listed by task after the figure. */
function scoreBlocksOf(rows: readonly SummaryRow[], summary: RunSummary): readonly Block[][] {
  const blocks = scoreBlocks(rows, summary);
  return [blocks.slice(0, 2), blocks.slice(2)];
}

function refusalBlocks(rows: readonly SummaryRow[]): readonly Block[] {
  const refused = rows.filter((row) => row.refused > 0);
  if (refused.length === 0) return [];
  const kinds = refused.map(({ policy, budget, task, refused: count }) =>
    `${policy} at ${budget ?? "all"} in ${task} (${count})`
  );
  return [{
    kind: "text",
    text: "Refused, and left out, because the policy always keeps more than the budget: " +
      `${kinds.join("; ")}.`,
  }];
}

function costTable(
  rows: readonly SummaryRow[],
  { timings }: RunSummary,
  variant: string,
): Block {
  const kinds = Map.groupBy(rows, ({ policy, budget }) => JSON.stringify([policy, budget]));
  const lines = [...kinds.values()].flatMap((group) => {
    const [first] = group;
    const found = group.filter((row) => row.score.n > 0);
    if (!first || found.length === 0) return [];
    const { policy, budget } = first;
    const times = timings.filter((row) =>
      row.variant === variant && row.policy === policy && row.budget === budget
    );
    const mebibytes = (bytes: readonly number[]) => (mean(bytes) / 2 ** 20).toFixed(1);
    return [[
      policy,
      budget ?? "all",
      mebibytes(found.map(({ bytesBefore }) => bytesBefore)),
      mebibytes(found.map(({ bytesAfter }) => bytesAfter)),
      mean(times.map(({ prefill }) => prefill)).toFixed(0),
      mean(times.map(({ evict }) => evict)).toFixed(0),
      mean(times.map(({ decodeToken }) => decodeToken)).toFixed(1),
    ]];
  });
  const titles = ["policy", "budget", "cache before (MiB)", "after (MiB)", "reading (ms)"];
  return {
    kind: "table",
    folded: "The numbers",
    rows: [[...titles, "eviction (ms)", "decoding (ms per token)"], ...lines],
  };
}

/** Maps of samples with a depth, by how the question is asked and by budget. */
async function depthReport(
  records: readonly SampleRecord[],
  rows: readonly SummaryRow[],
): Promise<readonly Block[]> {
  const found = records.filter(({ task, facts }) => task === "niah" && "depth" in facts);
  const groups = [...Map.groupBy(found, ({ variant }) => variant.split(", ").at(-1) ?? "")];
  const blocks = await Promise.all(groups.flatMap(([setting, of], at) => [
    [{ kind: "heading", level: 2, text: `Depth and length, ${setting}` } satisfies Block],
    ...budgetOrder(rows).map(async (budget): Promise<readonly Block[]> => [{
      kind: "figure",
      file: `depth${groups.length > 1 ? `_${at + 1}` : ""}_${fileName(budget)}.svg`,
      text: `Score by depth of the needle and length of the prompt, budget ${budget}, ${setting}`,
      svg: await depthFigure(of, budget),
    }]),
  ]));
  return blocks.flat();
}

/** A budget as part of a file's name: "10%" as "10pct". */
function fileName(budget: string): string {
  return budget.replaceAll("%", "pct").replace(/[^\w.]/g, "_");
}
