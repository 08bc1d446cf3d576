import { globalLayersOf, mostHeld } from "../cache/global_layers.ts";
import type { Engine, StepQueries } from "./engine.ts";
import type { LayerInputs } from "./predicted_scores.ts";
import type { Sequence } from "./sequence.ts";
import { pause } from "./pause.ts";
import type { QueryStatistics } from "../evidence/statistics.ts";
import type { Rows } from "./rows.ts";

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
  /** What each cached token received, summed over these queries, per global layer. */
  readonly attentionSums: readonly Rows[];
}

/** How a prompt is read. */
export interface PrefillOptions {
  /** Tokens read at a time: bounds the memory that reading takes. */
  readonly chunk: number;
  readonly observe: Observation;
  /** Is given the rotated queries of each layer as they are read. */
  readonly onQueries?: QueryStatistics["add"] | undefined;
  /** Is given what the attention of each global layer reads, as tokens are read. */
  readonly onInputs?: ((inputs: LayerInputs, tokens: number) => Promise<void>) | undefined;
  /** How many of the last tokens' queries are wanted. @default {0} */
  readonly lastQueries?: number | undefined;
  /** Tokens that are to be read behind these for a while: the cache takes no more room for them then. @default {0} */
  readonly room?: number | undefined;
  /** Owns the rows that are observed, and the last queries. */
  readonly scope?: DisposableStack | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What reading a prompt gives. */
export interface Prefilled {
  /** Logits of the last token. */
  readonly logits: Float32Array;
  /** One for each entry of the {@linkcode Observation}, in its order. */
  readonly observed: readonly Observed[];
  /**
   * Rotated queries of the last tokens that were asked for, or of all where these are fewer, per global layer:
   * those of each step.
   */
  readonly lastQueries: readonly (readonly StepQueries[])[];
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
  {
    chunk,
    observe,
    onQueries,
    onInputs,
    lastQueries = 0,
    room = 0,
    scope = new DisposableStack(),
    ...rest
  }: PrefillOptions,
): Promise<Prefilled> {
  const { signal, onProgress } = rest;
  const { cache } = sequence;
  const globals = globalLayersOf(cache);
  const wantedFrom = Math.max(0, ids.length - lastQueries);
  const last = globals.map((): StepQueries[] => []);
  const observations = (observe === "none" ? [] : observe).map((last) => ({
    last,
    queries: Math.min(last, ids.length),
    from: Math.max(0, ids.length - last),
    sums: runningSums(scope),
  }));
  sequence.planned = Math.max(sequence.planned, sequence.position + ids.length);
  await cache.reserve(ids.length + room);
  let logits = new Float32Array(0);
  for (let start = 0; start < ids.length;) {
    // A step observes all of its tokens or none: it ends where the next observation begins.
    const begun = observations.filter(({ from }) => from <= start);
    const limit = [...observations, { from: wantedFrom }].reduce(
      (end, { from }) => from > start ? Math.min(end, from) : end,
      ids.length,
    );
    const wanted = lastQueries > 0 && start >= wantedFrom;
    const observing = begun.length > 0;
    const held = mostHeld(cache);
    const max = Math.min(chunk, engine.maxStepTokens(held));
    const size = observing ? Math.min(max, OBSERVED_CHUNK) : max;
    const whole = Math.min(start + size, limit);
    // A single token that were left over would be computed as one of an answer is, in bytes.
    const end = limit - whole === 1 && whole - start > 2 ? whole - 1 : whole;
    await pause(signal);
    const { position, planned } = sequence;
    const step = await engine.advance(sequence, {
      ids: ids.slice(start, end),
      // A step that decodes gives no inputs.
      observe: observing || (onInputs !== undefined && end - start === 1),
      queries: onQueries !== undefined || wanted,
      layerInputs: onInputs !== undefined,
      next: end < ids.length ? "nothing" : "logits",
    });
    if (!observing) step.attentionSums.forEach((rows) => rows[Symbol.dispose]());
    using others = new DisposableStack();
    others.use(step.layerInputs);
    if (step.layerInputs) await onInputs?.(step.layerInputs, end - start);
    for (const [layer, queries] of step.queries.entries()) {
      const kept = wanted ? last[globals.indexOf(layer)] : undefined;
      (kept ? scope : others).use(queries);
      kept?.push(queries);
    }
    await onQueries?.(step.queries, { position, planned }, end - start);
    others.dispose();
    try {
      for (const [index, { sums }] of begun.entries()) {
        await sums.add(step.attentionSums, index === begun.length - 1);
      }
    } catch (error) {
      step.attentionSums.forEach((rows) => rows[Symbol.dispose]());
      throw error;
    }
    logits = new Float32Array(step.logits);
    start = end;
    onProgress?.(start, ids.length);
  }
  const observed: Observed[] = [];
  for (const { last, queries, sums } of observations) {
    observed.push({ last, queries, attentionSums: await sums.of(engine, sequence) });
  }
  return { logits, observed, lastQueries: last };
}

interface RunningSums {
  /**
   * Adds what a step observed.
   *
   * @param mine Whether the rows may be kept: nobody else adds them after this.
   */
  add(attentionSums: readonly Rows[], mine: boolean): Promise<void>;
  /** The sums, which the scope owns. */
  of(engine: Engine, sequence: Sequence): Promise<readonly Rows[]>;
}

/** Sums of which only the last are held. */
function runningSums(scope: DisposableStack): RunningSums {
  let total: readonly Rows[] = [];
  scope.defer(() => total.forEach((rows) => rows[Symbol.dispose]()));
  const replace = (next: readonly Rows[]) => {
    const old = total;
    total = next;
    old.forEach((rows) => rows[Symbol.dispose]());
  };
  return {
    async add(attentionSums, mine) {
      if (total.length === 0 && mine) return replace(attentionSums);
      const next: Rows[] = [];
      try {
        for (const [layer, rows] of attentionSums.entries()) {
          next.push(await (total[layer]?.plus(rows) ?? rows.times(1)));
        }
      } catch (error) {
        next.forEach((rows) => rows[Symbol.dispose]());
        throw error;
      } finally {
        if (mine) attentionSums.forEach((rows) => rows[Symbol.dispose]());
      }
      replace(next);
    },
    async of(engine, { cache }) {
      // Nothing was read: nothing was received.
      for (const layer of globalLayersOf(cache).slice(total.length)) {
        total = [...total, await engine.constantRows(0, cache.lengths(layer))];
      }
      return total;
    },
  };
}
