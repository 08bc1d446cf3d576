import type { Engine, Sequence } from "./engine.ts";
import { pause } from "./pause.ts";

/** Which prompt tokens are asked how much attention they pay. */
export type Observation = "none" | "all" | { readonly last: number };

/** How a prompt is read. */
export interface PrefillOptions {
  /** Tokens read at a time: bounds the memory that reading takes. */
  readonly chunk: number;
  readonly observe: Observation;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What reading a prompt gives. */
export interface Prefilled {
  /** Logits of the last token. */
  readonly logits: Float32Array;
  /**
   * Attention that each cached token received, summed over the observed queries, `[heads × length]`
   * per layer; empty if none was observed.
   */
  readonly received: readonly Float32Array[];
  /** Number of observed queries. */
  readonly observed: number;
}

// Weights of the attention are laid out in full while they are observed: short chunks bound them.
const OBSERVED_CHUNK = 256;

/** Reads a prompt into a sequence, chunk by chunk. The chunk size never changes the result. */
export async function prefill(
  engine: Engine,
  sequence: Sequence,
  ids: readonly number[],
  { chunk, observe, signal, onProgress }: PrefillOptions,
): Promise<Prefilled> {
  const { cache } = sequence;
  const { heads, layers } = engine.config;
  const observedFrom = observe === "none"
    ? ids.length
    : observe === "all"
    ? 0
    : Math.max(0, ids.length - observe.last);
  const length = cache.length(0) + ids.length;
  const received = observedFrom < ids.length
    ? Array.from({ length: layers }, () => new Float32Array(heads * length))
    : [];
  sequence.planned = Math.max(sequence.planned, sequence.position + ids.length);
  cache.reserve(ids.length);
  let logits = new Float32Array(0);
  for (let start = 0; start < ids.length;) {
    const observing = start >= observedFrom;
    const limit = observing ? ids.length : observedFrom;
    const size = observing ? Math.min(chunk, OBSERVED_CHUNK) : chunk;
    const end = Math.min(start + size, limit);
    await pause(signal);
    const step = await engine.advance(sequence, { ids: ids.slice(start, end), observe: observing });
    step.received.forEach((sums, layer) => addColumns(received[layer], sums, heads));
    logits = new Float32Array(step.logits);
    start = end;
    onProgress?.(start, ids.length);
  }
  return { logits, received, observed: ids.length - observedFrom };
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
