import { writeAtomically, writeError } from "../../runtime/atomic_file.ts";
import { LOCAL_TOKENS } from "../critical_hits.ts";
import type { HitRate, HitRateReport } from "../hit_rate.ts";
import { type Block, toHtml, toMarkdown } from "./blocks.ts";
import { curvePoints, curves } from "./curves.ts";
import { draw } from "./draw.ts";
import { heatColour } from "./palette.ts";
import { FEW, scoreText } from "./scores.ts";

/** What the record says about how it was made. */
const SETTINGS = ["model", "fingerprint", "precision", "versions", "settings", "policies"];

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
  const [rates, heads] = [await rateFigure(report.results), await headFigure(report)];
  const blocks: readonly Block[] = [
    { kind: "heading", level: 1, text: title },
    { kind: "text", text: opening(report) },
    hitTable("hit rate", report.results, ({ hitRate }) => hitRate),
    { kind: "heading", level: 2, text: "Attention mass kept" },
    hitTable("attention mass", report.results, ({ attentionMass }) => attentionMass),
    { kind: "heading", level: 2, text: "Against budget" },
    { kind: "figure", file: "rates.svg", text: "Hit rate and attention mass", svg: rates },
    { kind: "heading", level: 2, text: "By layer and KV head" },
    {
      kind: "figure",
      file: "heads.svg",
      text: "Hit rate by layer and KV head",
      svg: heads,
    },
    { kind: "heading", level: 2, text: "Attention at the end of the prompt" },
    {
      kind: "text",
      text: `Share of the attention that a policy judges by on the last ${LOCAL_TOKENS} tokens; ` +
        "response is that of the answer itself.",
    },
    {
      kind: "table",
      rows: [
        ["policy", "share"],
        ...report.localShares.map(({ policy, share: { mean, interval } }) => [
          policy,
          scoreText(mean, interval, false),
        ]),
      ],
    },
    { kind: "heading", level: 2, text: "Settings" },
    { kind: "table", rows: settingsRows(figures), align: "text" },
  ];
  const encoder = new TextEncoder();
  const files: [name: string, text: string][] = [
    ["figures.json", `${JSON.stringify(figures, null, 1)}\n`],
    ["report.md", toMarkdown(blocks)],
    ["report.html", toHtml(title, blocks)],
    ["rates.svg", rates],
    ["heads.svg", heads],
  ];
  for (const [name, text] of files) await writeAtomically(at(name), encoder.encode(text));
  return files.slice(0, 3).map(([name]) => at(name));
}

function opening({ rows, results }: HitRateReport): string {
  const few = rows.length < FEW ? " These are too few to tell policies apart." : "";
  const left = results.some(({ leftOut }) => leftOut > 0)
    ? " Prompts that a budget covers, or that a policy keeps more of, are left out of its means."
    : "";
  return `${rows.length} prompts; per cent, with 95 % bootstrap intervals over the prompts.${few}${left} ` +
    "The oracle judges by the very answer that is the reference.";
}

/** What stands before the results in the record: model, versions, settings, policies. */
function settingsRows(figures: object): readonly (readonly string[])[] {
  const named = Object.entries(figures).filter(([name]) => SETTINGS.includes(name));
  return [["setting", "value"], ...named.flatMap(([name, value]) => rowsOf(name, value))];
}

function rowsOf(name: string, value: unknown): readonly (readonly string[])[] {
  const text = (one: unknown) => typeof one === "string" ? one : JSON.stringify(one);
  if (typeof value !== "object" || value === null) return [[name, text(value)]];
  if (Array.isArray(value)) return value.map((one) => [name, text(one)]);
  return Object.entries(value).map(([inner, one]) => [inner.replaceAll("_", " "), text(one)]);
}

/** Both shares against budget. */
function rateFigure(results: readonly HitRate[]): Promise<string> {
  const policies = [...new Set(results.map(({ policy }) => policy))];
  const budgets = [...new Set(results.map(({ budget }) => budget))];
  const panel = (title: string, of: (result: HitRate) => HitRate["hitRate"]) => ({
    width: 300,
    height: 190,
    ...curves({
      policies,
      budgets,
      whole: [],
      y: { title, scale: { domain: [0, 100] } },
      values: results.flatMap((result) => {
        const { policy, budget } = result;
        return curvePoints(of(result), (share) => 100 * share)
          .map((point) => ({ policy, budget, ...point }));
      }),
    }),
  });
  return draw(
    "Hit rate and attention mass against budget",
    `Hit rate and attention mass of ${policies.join(", ")} against budget, with 95 % intervals`,
    {
      columns: 2,
      concat: [
        panel("hit rate (%)", ({ hitRate }) => hitRate),
        panel("attention mass (%)", ({ attentionMass }) => attentionMass),
      ],
    },
  );
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
function headFigure({ layers, results }: HitRateReport): Promise<string> {
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
          values: byHead.flatMap((rates, index) =>
            rates.map((rate, head) => ({ layer: layers[index], head, value: 100 * rate }))
          ),
        },
        mark: "rect",
        encoding: {
          color: heatColour("hit rate (%)"),
          x: {
            field: "layer",
            type: "ordinal",
            axis: { labelAngle: 0, labelOverlap: true, grid: false },
          },
          y: { field: "head", type: "ordinal", title: "KV head", axis: { grid: false } },
        },
      })),
    },
  );
}
