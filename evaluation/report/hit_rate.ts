import { writeAtomically, writeError } from "../../runtime/atomic_file.ts";
import type { HitRate, HitRateReport } from "../hit_rate.ts";
import { type Block, toHtml, toMarkdown } from "./blocks.ts";
import { draw } from "./draw.ts";
import { heatLayers } from "./palette.ts";
import { scoreText } from "./scores.ts";

/** What {@linkcode writeHitRateReport} writes. */
export interface HitRateRecord {
  readonly title: string;
  /** Everything, as `--json` prints it. */
  readonly figures: object;
  readonly report: HitRateReport;
}

/**
 * Writes `figures.json`, `report.md` and `report.html` with a map of layers and heads for each policy
 * and budget.
 *
 * @param folder It is made if it is not there.
 * @returns Paths of the files, figures left out.
 * @throws {StorageError} If it cannot be written.
 */
export async function writeHitRateReport(
  folder: string,
  { title, figures, report }: HitRateRecord,
): Promise<readonly string[]> {
  const at = (name: string) => `${folder.replace(/\/+$/, "")}/${name}`;
  try {
    await Deno.mkdir(folder, { recursive: true });
  } catch (error) {
    throw writeError(folder, error);
  }
  const heads = await headFigure(report.results);
  const blocks: readonly Block[] = [
    { kind: "heading", level: 1, text: title },
    {
      kind: "text",
      text: `${report.rows.length} prompts; per cent, with 95 % bootstrap intervals.`,
    },
    hitTable("hit rate", report.results, ({ hitRate }) => hitRate),
    { kind: "heading", level: 2, text: "Attention mass kept" },
    hitTable("attention mass", report.results, ({ attentionMass }) => attentionMass),
    { kind: "heading", level: 2, text: "By layer and KV head" },
    {
      kind: "figure",
      file: "heads.svg",
      text: "Hit rate by layer and KV head",
      svg: heads,
    },
  ];
  const encoder = new TextEncoder();
  const files: [name: string, text: string][] = [
    ["figures.json", `${JSON.stringify(figures, null, 1)}\n`],
    ["report.md", toMarkdown(blocks)],
    ["report.html", toHtml(title, blocks)],
    ["heads.svg", heads],
  ];
  for (const [name, text] of files) await writeAtomically(at(name), encoder.encode(text));
  return files.slice(0, 3).map(([name]) => at(name));
}

function hitTable(
  what: string,
  results: readonly HitRate[],
  of: (result: HitRate) => HitRate["hitRate"],
): Block {
  const budgets = [...new Set(results.map(({ budget }) => budget))];
  const policies = [...new Set(results.map(({ policy }) => policy))];
  return {
    kind: "table",
    rows: [
      [what, ...budgets],
      ...policies.map((policy) => [
        policy,
        ...budgets.map((budget) => {
          const found = results.find((one) => one.policy === policy && one.budget === budget);
          const { mean, interval } = found ? of(found) : { mean: null, interval: null };
          return scoreText(mean, interval, false);
        }),
      ]),
    ],
  };
}

/** One map for each policy and budget. */
function headFigure(results: readonly HitRate[]): Promise<string> {
  const maps = results.filter(({ byHead }) => byHead.length > 0);
  return draw(
    "Hit rate (%) by layer and KV head",
    `Hit rate by layer and KV head of ${
      maps.map(({ policy, budget }) => `${policy} at ${budget}`).join(", ")
    }`,
    {
      columns: 2,
      spacing: 22,
      concat: maps.map(({ policy, budget, byHead }) => ({
        title: { text: `${policy}, ${budget}`, fontSize: 12, anchor: "start" },
        width: 12 * byHead.length,
        height: 14 * (byHead[0]?.length ?? 1),
        data: {
          values: byHead.flatMap((rates, layer) =>
            rates.map((rate, head) => ({ layer, head, value: 100 * rate }))
          ),
        },
        encoding: {
          x: {
            field: "layer",
            type: "ordinal",
            axis: { labelAngle: 0, labelOverlap: true, grid: false },
          },
          y: { field: "head", type: "ordinal", title: "KV head", axis: { grid: false } },
        },
        ...heatLayers("hit rate (%)")[0],
      })),
    },
  );
}
