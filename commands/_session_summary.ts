import type { SessionStats } from "../runtime/session/stats.ts";
import { formatBytes } from "./_output.ts";

/** What a session did, for people: one line, and one for each note. */
export function summary(stats: SessionStats): string {
  const { promptTokens, bytes, times, steps, notes } = stats;
  const evict = times.evidence + times.selection + times.compaction;
  const lines = [
    `kept ${meanKept(stats)} of ${promptTokens} tokens, cache ${formatBytes(bytes.before)} to ` +
    `${formatBytes(bytes.after)}; read ${seconds(times.prefill)}${more(stats.readEvictions)}, ` +
    `evict ${seconds(evict)}, decode ${seconds(times.decode)} (${steps} steps` +
    `${more(stats.decodeEvictions)})`,
    ...notes.map((text) => `note: ${text}`),
  ];
  return lines.join("\n");
}

function more(evictions: number): string {
  if (evictions === 0) return "";
  return `, evicted ${evictions} time${evictions === 1 ? "" : "s"} more`;
}

/** Kept tokens of a head on average: in the global layers, where others slide. */
export function meanKept({ kept, windows = [] }: Pick<SessionStats, "kept" | "windows">): number {
  const globals = kept.filter((_, layer) => (windows[layer] ?? null) === null);
  const counts = (globals.length > 0 ? globals : kept).flat();
  return Math.round(counts.reduce((sum, count) => sum + count, 0) / Math.max(1, counts.length));
}

/** Milliseconds as people read them. */
export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}
