import type { Engine, Sequence } from "./engine.ts";
import { pause } from "./pause.ts";
import type { QueryStatistics } from "./query_statistics.ts";
import { addRows, emptyRows } from "./received_rows.ts";

/**
 * Which prompt tokens are asked how much attention they pay: for each entry that many of the last
 * ones, `Infinity` for all of them.
 */
export type Observation = "none" | readonly number[];

/** Attention that some of the last prompt tokens pay. */
export interface Observed {
  /** Tokens that were asked for, as in the {@linkcode Observation}. */
  readonly last: number;
  /** Number of observed queries: fewer than asked for where the prompt is shorter. */
  readonly queries: number;
  /**
   * What each cached token received, summed over these queries, `[heads × length]` per layer, each row
   * as long as its head where the heads hold different numbers of tokens.
   */
  readonly received: readonly Float32Array[];
}

/** How a prompt is read. */
export interface PrefillOptions {
  /** Tokens read at a time: bounds the memory that reading takes. */
  readonly chunk: number;
  readonly observe: Observation;
  /** Is given the rotated queries of each layer, `[tokens, heads · headDim]`, as they are read. */
  readonly onQueries?: QueryStatistics["add"];
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What reading a prompt gives. */
export interface Prefilled {
  /** Logits of the last token. */
  readonly logits: Float32Array;
  /** One for each entry of the {@linkcode Observation}, in its order. */
  readonly observed: readonly Observed[];
}

// Weights of the attention are laid out in full while they are observed: short chunks bound them.
const OBSERVED_CHUNK = 256;

/**
 * Reads tokens into a sequence, behind what it holds, chunk by chunk. The chunk size never changes
 * the result.
 */
export async function prefill(
  engine: Engine,
  sequence: Sequence,
  ids: readonly number[],
  { chunk, observe, onQueries, signal, onProgress }: PrefillOptions,
): Promise<Prefilled> {
  const { cache } = sequence;
  const { heads, kvHeads, layers } = engine.config;
  const group = heads / kvHeads;
  const lengths = Array.from(
    { length: layers },
    (_, layer) => cache.lengths(layer).map((length) => length + ids.length),
  );
  const observed = (observe === "none" ? [] : observe).map((last) => ({
    last,
    queries: Math.min(last, ids.length),
    from: Math.max(0, ids.length - last),
    received: lengths.map((ofLayer) => emptyRows(group, ofLayer)),
  }));
  sequence.planned = Math.max(sequence.planned, sequence.position + ids.length);
  cache.reserve(ids.length);
  let logits = new Float32Array(0);
  for (let start = 0; start < ids.length;) {
    // A step observes all of its tokens or none: it ends where the next observation begins.
    const begun = observed.filter(({ from }) => from <= start);
    const limit = observed.reduce(
      (end, { from }) => from > start ? Math.min(end, from) : end,
      ids.length,
    );
    const observing = begun.length > 0;
    const size = observing ? Math.min(chunk, OBSERVED_CHUNK) : chunk;
    const end = Math.min(start + size, limit);
    await pause(signal);
    const { position, planned } = sequence;
    const step = await engine.advance(sequence, {
      ids: ids.slice(start, end),
      observe: observing,
      queries: onQueries !== undefined,
    });
    await onQueries?.(step.queries, { position, planned });
    for (const { received } of begun) {
      for (const [layer, total] of received.entries()) {
        const rows = step.received[layer] ?? new Float32Array(0);
        addRows(total, rows, { group, lengths: lengths[layer] ?? [], added: cache.lengths(layer) });
      }
    }
    logits = new Float32Array(step.logits);
    start = end;
    onProgress?.(start, ids.length);
  }
  return { logits, observed: observed.map(({ from: _, ...rest }) => rest) };
}
