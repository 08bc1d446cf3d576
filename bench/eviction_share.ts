import type { Measurement } from "./engine/protocol.ts";

/**
 * Time that eviction adds to reading a prompt, as a share of reading it with the full cache.
 *
 * Observing attention is part of reading. What it adds is the difference to the full cache's
 * reading from the last moment on that both have in common: over a short stretch of the prompt
 * the machine's mood matters less than over all of it.
 *
 * @returns `undefined` if the engine cannot evict.
 */
export function evictionShare(evicted: Measurement, full: Measurement): number | undefined {
  const { eviction } = evicted;
  if (eviction === undefined || full.eviction === undefined) return undefined;
  const { observedFrom, progress } = eviction;
  const reference = new Map(full.eviction.progress);
  const tokens = progress.at(-1)?.[0] ?? 0;
  let observing = 0;
  if (observedFrom < tokens) {
    const common = progress.filter(([done]) => done <= observedFrom && reference.has(done)).at(-1);
    const [from, start] = common ?? [0, 0];
    const end = progress.at(-1)?.[1] ?? 0;
    const fullEnd = full.eviction.progress.at(-1)?.[1] ?? 0;
    observing = (end - start) - (fullEnd - (reference.get(from) ?? 0));
  }
  return (eviction.ms + observing) / full.prefillMs;
}
