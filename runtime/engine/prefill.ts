import type { Engine, Sequence } from "./engine.ts";
import { pause } from "./pause.ts";
import type { QueryStatistics } from "./query_statistics.ts";

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
  /** What each cached token received, summed over these queries, `[heads × length]` per layer. */
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
  const { heads, layers } = engine.config;
  const observed = (observe === "none" ? [] : observe).map((last) => ({
    last,
    queries: Math.min(last, ids.length),
    from: Math.max(0, ids.length - last),
    received: Array.from(
      { length: layers },
      (_, layer) => new Float32Array(heads * (cache.length(layer) + ids.length)),
    ),
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
      step.received.forEach((sums, layer) => addColumns(received[layer], sums, heads));
    }
    logits = new Float32Array(step.logits);
    start = end;
    onProgress?.(start, ids.length);
  }
  return { logits, observed: observed.map(({ from: _, ...rest }) => rest) };
}

/** Adds `[heads, columns]` to the first columns of `[heads, length]`. */
function addColumns(total: Float32Array | undefined, sums: Float32Array, heads: number): void {
  if (!total) return;
  const columns = sums.length / heads;
  const length = total.length / heads;
  for (let head = 0; head < heads; head++) {
    for (let column = 0; column < columns; column++) {
      const index = head * length + column;
      total[index] = (total[index] ?? 0) + (sums[head * columns + column] ?? 0);
    }
  }
}
