import { FULL } from "../run/measure_cells.ts";
import type { RunSummary, SampleRecord, SummaryRow } from "../run/record.ts";
import { estimate } from "../statistics.ts";
import type { Block } from "./blocks.ts";
import { accuracyFigure, costFigure, depthFigure } from "./figures.ts";
import { budgetOrder, isPerplexity, scoreText } from "./scores.ts";

/** Samples below which an interval says little. */
const FEW = 5;

/** What a report shows, in order. */
export async function reportBlocks(
  summary: RunSummary,
  records: readonly SampleRecord[],
): Promise<readonly Block[]> {
  const { settings, rows, timings } = summary;
  const variants = [...new Set(rows.map(({ variant }) => variant))];
  const blocks: Block[] = [
    { kind: "heading", level: 1, text: `${settings.benchmark} on ${settings.model.name}` },
    ...settingsBlocks(summary, records),
  ];
  for (const [at, variant] of variants.entries()) {
    const ofVariant = rows.filter((row) => row.variant === variant);
    const slug = variants.length > 1 ? `_${at + 1}` : "";
    blocks.push(
      { kind: "heading", level: 2, text: variant },
      ...scoreBlocks(ofVariant, summary),
      {
        kind: "figure",
        file: `score${slug}.svg`,
        text: `Score against budget: ${variant}`,
        svg: await accuracyFigure(ofVariant, summary),
      },
      ...refusalBlocks(ofVariant),
    );
  }
  for (const [at, setting] of depthGroups(records).entries()) {
    blocks.push(
      { kind: "heading", level: 2, text: `Depth and length, ${setting.name}` },
      {
        kind: "figure",
        file: `depth${at === 0 ? "" : `_${at + 1}`}.svg`,
        text: "Score by depth of the needle and length of the prompt",
        svg: await depthFigure(setting.records),
      },
    );
  }
  return [
    ...blocks,
    { kind: "heading", level: 2, text: "Memory and time" },
    {
      kind: "text",
      text: "Bytes are those that were allocated, times those that were measured. What policies " +
        "observe while the prompt is read is part of reading it.",
    },
    costTable(summary),
    {
      kind: "figure",
      file: "cost.svg",
      text: "Memory and time against budget",
      svg: await costFigure(rows, timings),
    },
  ];
}

function settingsBlocks(
  { settings, metrics }: RunSummary,
  records: readonly SampleRecord[],
): readonly Block[] {
  const { model, versions, policies, seed, tasks, options } = settings;
  const tokens = records.map(({ promptTokens }) => promptTokens);
  const named = (value: unknown) => typeof value === "string" ? value : JSON.stringify(value);
  const rows = [
    ["setting", "value"],
    ["model", `${model.name}, ${model.precision}, ${model.fingerprint}`],
    [
      "versions",
      Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", "),
    ],
    ["tasks", tasks.map((task) => `${task} (${metrics[task] ?? "score"})`).join(", ")],
    [
      "samples",
      `${records.length}, prompts of ${Math.min(...tokens)} to ${Math.max(...tokens)} tokens`,
    ],
    ["seed", String(seed)],
    ...Object.entries(options).filter(([name]) => name !== "samples")
      .map(([name, value]) => [name.replaceAll("_", " "), named(value)]),
    ...policies.map(({ label, options }) => [`policy ${label}`, JSON.stringify(options)]),
  ];
  return [{ kind: "table", rows }];
}

function scoreBlocks(rows: readonly SummaryRow[], summary: RunSummary): readonly Block[] {
  const { settings: { seed }, metrics } = summary;
  const tasks = [...new Set(rows.map(({ task }) => task))];
  const budgets = budgetOrder(rows);
  const policies = [...new Set(rows.map(({ policy }) => policy))].filter((name) => name !== FULL);
  const cell = (chosen: readonly SummaryRow[]) => {
    const { mean, interval } = estimate(chosen.flatMap((row) => Object.values(row.scores)), seed);
    const perplexity = chosen.some(({ task }) => isPerplexity(task, metrics));
    return scoreText(mean, interval, perplexity);
  };
  const full = rows.filter(({ policy }) => policy === FULL);
  const few = Math.min(...full.map(({ score }) => score.n));
  const overview: Block = {
    kind: "table",
    rows: [
      ["policy", ...budgets],
      [`${FULL} (the ceiling)`, ...budgets.map(() => cell(full))],
      ...policies.map((policy) => [
        policy,
        ...budgets.map((budget) =>
          cell(rows.filter((row) => row.policy === policy && row.budget === budget))
        ),
      ]),
    ],
  };
  const details = tasks.length < 2 ? [] : budgets.flatMap((budget): Block[] => [
    { kind: "heading", level: 3, text: `By task, budget ${budget}` },
    {
      kind: "table",
      rows: [
        ["policy", ...tasks],
        [FULL, ...tasks.map((task) => cell(full.filter((row) => row.task === task)))],
        ...policies.map((policy) => [
          policy,
          ...tasks.map((task) =>
            cell(
              rows.filter((row) =>
                row.policy === policy && row.budget === budget && row.task === task
              ),
            )
          ),
        ]),
      ],
    },
  ]);
  const counts =
    `${tasks.length > 1 ? "Mean over all samples of all tasks" : "Mean over the samples"}` +
    `, with 95 % bootstrap intervals; ${few} samples ${tasks.length > 1 ? "of each task" : ""}`;
  return [
    {
      kind: "text",
      text: `${counts.trimEnd()}${few < FEW ? ": too few to tell policies apart." : "."}`,
    },
    overview,
    ...details,
  ];
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

function costTable({ rows, timings }: RunSummary): Block {
  const kinds = [...new Set(rows.map(({ policy, budget }) => JSON.stringify([policy, budget])))];
  const average = <R>(found: readonly R[], of: (row: R) => number) =>
    found.reduce((sum, row) => sum + of(row), 0) / Math.max(1, found.length);
  const lines = kinds.map((kind) => {
    const [policy, budget]: [string, string | null] = JSON.parse(kind);
    const same = (row: { policy: string; budget: string | null }) =>
      row.policy === policy && row.budget === budget;
    const found = rows.filter((row) => same(row) && row.score.n > 0);
    const times = timings.filter(same);
    const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
    return [
      policy,
      budget ?? "all",
      mebibytes(average(found, ({ bytesBefore }) => bytesBefore)),
      mebibytes(average(found, ({ bytesAfter }) => bytesAfter)),
      average(times, ({ prefill }) => prefill).toFixed(0),
      average(times, ({ evict }) => evict).toFixed(0),
      average(times, ({ decodeToken }) => decodeToken).toFixed(1),
    ];
  });
  const titles = [
    "policy",
    "budget",
    "cache before (MiB)",
    "after (MiB)",
    "reading (ms)",
    "eviction (ms)",
    "decoding (ms per token)",
  ];
  return { kind: "table", rows: [titles, ...lines] };
}

/** Samples with a depth, where there are several depths, by how the question is asked. */
function depthGroups(records: readonly SampleRecord[]) {
  const found = records.filter(({ task, facts }) => task === "niah" && "depth" in facts);
  const groups = new Map<string, SampleRecord[]>();
  for (const record of found) {
    const name = record.variant.split(", ").at(-1) ?? "";
    groups.set(name, [...groups.get(name) ?? [], record]);
  }
  return [...groups].map(([name, of]) => ({ name, records: of }));
}
