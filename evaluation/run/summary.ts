import { estimate, mean, shareEstimate } from "../statistics.ts";
import type { CellRecord, RunSettings, SampleRecord } from "./record.ts";
import type { RunSummary, SummaryRow, TimingRow } from "./summary_record.ts";

/** A cell and the sample that it belongs to. */
interface Measured {
  readonly record: SampleRecord;
  readonly cell: CellRecord;
}

/**
 * Averages a run. Its rows depend on nothing but the records, in the order in which they are given.
 *
 * @param metrics How the scores of a task read.
 */
export function summarise(
  settings: RunSettings,
  records: readonly SampleRecord[],
  metrics: RunSummary["metrics"],
): RunSummary {
  const groups = new Map<string, Measured[]>();
  for (const record of records) {
    for (const cell of record.cells) {
      const key = JSON.stringify([record.task, record.variant, cell.policy, cell.budget]);
      const group = groups.get(key) ?? [];
      group.push({ record, cell });
      groups.set(key, group);
    }
  }
  const rows = [...groups.values()].map((group) => summaryRow(group, settings.seed, metrics));
  return { settings, metrics, rows, timings: [...groups.values()].map(timingRow) };
}

function headOf(group: readonly Measured[]) {
  const [first] = group;
  if (!first) throw new RangeError("Cannot average a row without samples");
  const { record: { task, variant }, cell: { policy, budget } } = first;
  return { task, variant, policy, budget };
}

function summaryRow(
  group: readonly Measured[],
  seed: number,
  metrics: RunSummary["metrics"],
): SummaryRow {
  const head = headOf(group);
  const measured = group.filter(({ cell }) => cell.refused === undefined);
  const average = (of: (cell: CellRecord) => number) =>
    measured.length === 0 ? 0 : mean(measured.map(({ cell }) => of(cell)));
  return {
    ...head,
    score: (metrics[head.task] === "perplexity" ? estimate : shareEstimate)(
      measured.map(({ cell }) => cell.score),
      seed,
    ),
    scores: Object.fromEntries(measured.map(({ record, cell }) => [record.id, cell.score])),
    kept: average(({ kept: [kept] }) => kept),
    bytesBefore: average(({ bytes: [before] }) => before),
    bytesAfter: average(({ bytes: [, after] }) => after),
    refused: group.length - measured.length,
  };
}

function timingRow(group: readonly Measured[]): TimingRow {
  const measured = group.filter(({ cell }) => cell.refused === undefined);
  const tokens = measured.reduce((sum, { cell }) => sum + cell.outputTokens, 0);
  const total = (of: (one: Measured) => number) => measured.reduce((sum, one) => sum + of(one), 0);
  return {
    ...headOf(group),
    prefill: total(({ record }) => record.prefill) / Math.max(1, measured.length),
    evict: total(({ cell }) => cell.times.evict) / Math.max(1, measured.length),
    decodeToken: total(({ cell }) => cell.times.decode) / Math.max(1, tokens),
  };
}
