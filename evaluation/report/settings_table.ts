import { isRecord } from "../../runtime/checkpoint/read_json.ts";
import { FULL } from "../run/measure_cells.ts";
import type { RunSettings, SampleRecord } from "../run/record.ts";
import type { RunSummary } from "../run/summary_record.ts";
import type { Block } from "./blocks.ts";
import { machineKinds } from "./machines.ts";

/** What decided about a run: the command, the model, every option. */
export function settingsBlocks(
  { settings, metrics }: RunSummary,
  records: readonly SampleRecord[],
): readonly Block[] {
  const { model, versions, policies, seed, tasks, options } = settings;
  const tokens = records.map(({ promptTokens }) => promptTokens);
  const rows = [
    ["setting", "value"],
    ["model", [model.name, model.precision, ...model.device ? [model.device] : []].join(", ")],
    ["hash of the model", model.fingerprint],
    [
      "versions",
      Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", "),
    ],
    ...machineKinds(records).map(([kind, count]) => [`machines of ${count} samples`, kind]),
    ["tasks and metrics", tasks.map((task) => `${task} (${metrics[task] ?? "score"})`).join(", ")],
    [
      "prompts",
      `${records.length}, of ${Math.min(...tokens)} to ${Math.max(...tokens)} tokens each`,
    ],
    ["time of all measurements", durationText(records)],
    ...workersRows(records),
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

/** What reading, evicting and answering took, one sample after the other. */
function durationText(records: readonly SampleRecord[]): string {
  const milliseconds = records.reduce(
    (total, { prefill, cells }) =>
      cells.reduce((sum, { times }) => sum + times.evict + times.decode, total + prefill),
    0,
  );
  const minutes = milliseconds / 60_000;
  return minutes < 1 ? `${Math.ceil(60 * minutes)} s` : `${minutes.toFixed(0)} min`;
}

/** How many samples were measured at a time, where that is known: times depend on it. */
function workersRows(records: readonly SampleRecord[]): readonly (readonly string[])[] {
  const counts = new Map<number, number>();
  for (const { workers } of records) {
    if (workers !== undefined) counts.set(workers, (counts.get(workers) ?? 0) + 1);
  }
  const found = [...counts].sort(([a], [b]) => a - b);
  if (found.length === 0) return [];
  const shown = found.length === 1
    ? [String(found[0]?.[0])]
    : found.map(([workers, samples]) => `${workers} (of ${samples} samples)`);
  return [["samples measured at a time", shown.join(", ")]];
}

function optionsText(options: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(options);
  return entries.length === 0
    ? "no options"
    : entries.map(([name, value]) => `${name} ${textOf(value)}`).join(", ");
}

/** Benchmarks whose tasks are chosen. */
const WITH_TASKS = ["ruler", "longbench", "upper_bound"];

/**
 * The command that measures the same, as far as settings tell: files as they were named, and no needle
 * of one's own.
 */
export function commandOf(settings: RunSettings): string {
  const [name = "", ...flags] = commandArguments(settings);
  const lines = flags.map((flag) => flag.startsWith("--") ? ` \\\n  ${flag}` : ` ${quoted(flag)}`);
  return `kvjudge eval ${name}${lines.join("")} \\\n  --out FOLDER`;
}

/** Arguments of {@linkcode commandOf} after `kvjudge eval`. */
export function commandArguments(settings: RunSettings): readonly string[] {
  const { benchmark, model, policies, budgets, tasks, seed, options } = settings;
  const flags: Readonly<Record<string, unknown>> = {
    model: model.name,
    precision: model.precision,
    policies: policies.map(({ label }) => label),
    budgets,
    ...WITH_TASKS.includes(benchmark) ? { tasks } : {},
    ...benchmark === "longbench" ? { data: "LONGBENCH" } : {},
    seed,
    ...options,
  };
  const given = Object.entries(flags).filter(([, value]) =>
    value !== null && value !== false && value !== "default" && !isRecord(value)
  );
  return [
    benchmark,
    ...given.flatMap(([name, value]) => {
      const flag = `--${name.replaceAll("_", "-")}`;
      if (value === true) return [flag];
      return [flag, Array.isArray(value) ? value.join(",") : String(value)];
    }),
  ];
}

/** A value as a shell reads it. */
function quoted(value: string): string {
  return /^[\w.,:/@%+=-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
