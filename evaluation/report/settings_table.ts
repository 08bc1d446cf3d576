import { FULL } from "../run/measure_cells.ts";
import type { RunSettings, RunSummary, SampleRecord } from "../run/record.ts";
import type { Block } from "./blocks.ts";

/** What decided about a run: the command, the model, every option. */
export function settingsBlocks(
  { settings, metrics }: RunSummary,
  records: readonly SampleRecord[],
): readonly Block[] {
  const { model, versions, policies, seed, tasks, options } = settings;
  const tokens = records.map(({ promptTokens }) => promptTokens);
  const rows = [
    ["setting", "value"],
    ["model", `${model.name}, ${model.precision}`],
    ["hash of the model", model.fingerprint],
    [
      "versions",
      Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", "),
    ],
    ["tasks and metrics", tasks.map((task) => `${task} (${metrics[task] ?? "score"})`).join(", ")],
    [
      "prompts",
      `${records.length}, of ${Math.min(...tokens)} to ${Math.max(...tokens)} tokens each`,
    ],
    ["seed", String(seed)],
    ...Object.entries(options).filter(([, value]) => value !== null)
      .map(([name, value]) => [name.replaceAll("_", " "), textOf(value)]),
    ...policies.filter(({ name }) => name !== FULL)
      .map(({ label, options }) => [`policy ${label}`, optionsText(options)]),
  ];
  return [
    { kind: "heading", level: 2, text: "Settings" },
    { kind: "table", rows, align: "text" },
    { kind: "text", text: "The command, made from the settings:" },
    { kind: "code", text: commandOf(settings) },
  ];
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(textOf).join(", ");
  return typeof value === "string" ? value : JSON.stringify(value);
}

function optionsText(options: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(options);
  return entries.length === 0
    ? "no options"
    : entries.map(([name, value]) => `${name} ${textOf(value)}`).join(", ");
}

/** Benchmarks whose tasks are chosen. */
const WITH_TASKS = ["ruler", "longbench", "upper_bound"];

/** The command that measures the same, as far as settings tell: paths of files as they were given. */
export function commandOf(settings: RunSettings): string {
  const { benchmark, model, policies, budgets, tasks, seed, options } = settings;
  const flags: [name: string, value: string][] = [
    ["model", model.name],
    ["precision", model.precision],
    ["policies", policies.map(({ label }) => label).filter((name) => name !== FULL).join(",")],
    ["budgets", budgets.join(",")],
    ...WITH_TASKS.includes(benchmark) ? [["tasks", tasks.join(",")] as [string, string]] : [],
    ["seed", String(seed)],
    ...Object.entries(options)
      .filter(([, value]) => value !== null && value !== "default" && !isRecord(value))
      .map(([name, value]): [string, string] => [
        name.replaceAll("_", "-"),
        Array.isArray(value) ? value.join(",") : String(value),
      ]),
  ];
  return [
    `kvjudge eval ${benchmark}`,
    ...flags.map(([name, value]) => `  --${name} ${quoted(value)}`),
    "  --out FOLDER",
  ].join(" \\\n");
}

function isRecord(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value as a shell reads it. */
function quoted(value: string): string {
  return /^[\w.,:/@%+=-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
