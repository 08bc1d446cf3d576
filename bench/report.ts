import { table } from "../commands/_table.ts";
import type { Results, SpeedRow } from "./results.ts";
import type { Summary } from "./statistics.ts";

/** The results as text. */
export function formatReport(results: Results, budget: number): string {
  const { evictionShare, cacheBytes, peakMemory, quality } = results;
  const peers = [...cacheBytes[0]?.peers.keys() ?? []];
  return [
    speedTable("Prefill, tokens per second", results.prefill),
    speedTable("Decoding with the full cache, tokens per second", results.decodeFull),
    speedTable(
      `Decoding, tokens per second: kvjudge at budget ${budget}, llama.cpp with its full cache`,
      results.decodeEvicted,
    ),
    titledTable(
      "Eviction as a share of prefill",
      ["tokens", "policy", "share"],
      evictionShare.map((
        { length, policy, share },
      ) => [String(length), policy, spread(share, (value) => `${(value * 100).toFixed(1)} %`)]),
    ),
    titledTable(
      "Cache, bytes: kvjudge's in 32-bit floats before and after, the others' full one in 16 bits",
      ["tokens", "before", "after", "kept entries need", ...peers],
      cacheBytes.map(({ length, before, after, kept, peers: others }) =>
        [length, before, after, kept, ...peers.map((name) => others.get(name) ?? "")].map(String)
      ),
    ),
    titledTable(
      `Peak memory of a process that reads ${peakMemory.tokens} tokens and answers, MB`,
      [...peakMemory.bytes.keys()],
      [[...peakMemory.bytes.values()].map((bytes) => (bytes / 1e6).toFixed(0))],
    ),
    titledTable(
      "Predictions against kvjudge in fp32",
      ["engine", "mean KL divergence", "same first choice"],
      quality.map(({ name, divergence, agreement }) => [
        name,
        divergence.toExponential(1),
        `${(agreement * 100).toFixed(1)} %`,
      ]),
    ),
  ].join("\n");
}

function speedTable(title: string, rows: readonly SpeedRow[]): string {
  const names = [...new Set(rows.flatMap(({ speeds }) => [...speeds.keys()]))];
  const rated = rows.some(({ ratio }) => ratio !== undefined);
  return titledTable(
    `${title}: median (range)`,
    ["tokens", ...names, ...(rated ? ["ratio to q8_0"] : [])],
    rows.map(({ length, speeds, ratio }) => [
      String(length),
      ...names.map((name) => spread(speeds.get(name), (value) => value.toFixed(1))),
      ...(rated ? [spread(ratio, (value) => value.toFixed(2))] : []),
    ]),
  );
}

function spread(summary: Summary | undefined, show: (value: number) => string): string {
  if (summary === undefined) return "";
  const { median, min, max } = summary;
  return `${show(median)} (${show(min)} to ${show(max)})`;
}

function titledTable(
  title: string,
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const left = header.map((_, column) => column);
  return `${title}\n${table([header, ...rows], { left })}`;
}
