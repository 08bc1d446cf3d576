import { rotaryRows, type RotarySpan } from "../../kernels/rope.ts";
import type { Evidence } from "../../policies/policy.ts";
import { globalLayers } from "../checkpoint/layer_kinds.ts";
import { layerFrequencies } from "../rotary/frequencies.ts";
import type { Engine, StepQueries } from "../engine/engine.ts";
import type { ExpectedQueries, QueryMoments } from "../engine/query_moments.ts";

/** Where some tokens of a sequence stand. */
export interface Span {
  /** True position of the first. */
  readonly position: number;
  /** Tokens that dynamic RoPE scaling reckons with. */
  readonly planned: number;
}

/**
 * Mean and covariance of the un-rotated queries of a prompt in each global layer, gathered while it is read.
 * They lie where the cache does.
 */
export interface QueryStatistics extends Disposable {
  /**
   * Adds tokens.
   *
   * @param queries Rotated queries of each layer.
   * @param tokens How many there are.
   */
  add(queries: readonly StepQueries[], span: Span, tokens: number): Promise<void>;
  /** The Gaussian of each global layer, and the mean rotation of some positions. */
  at(span: Span, positions: number): readonly ExpectedQueries[];
}

/** Statistics for every number of leading tokens that some evidence leaves out. */
export interface PromptStatistics extends Disposable {
  /** Takes the queries that are read; absent where no evidence wants any. */
  readonly onQueries?: QueryStatistics["add"] | undefined;
  /** The statistics with that many tokens left out. */
  skipping(tokens: number): QueryStatistics | undefined;
}

/** Begins to gather what some policies want. */
export function gatherPromptStatistics(
  evidence: readonly Evidence[],
  engine: Pick<Engine, "config" | "addQueries">,
): PromptStatistics {
  const bySkip = new Map<number, QueryStatistics>();
  const all = evidence.flatMap((one) => one.kind === "lookahead" ? [one.draft.evidence] : [one]);
  for (const one of all) {
    if (one.kind !== "statistics" || bySkip.has(one.skip)) continue;
    bySkip.set(one.skip, gatherQueryStatistics(engine, one.skip));
  }
  const onQueries: QueryStatistics["add"] = async (...queries) => {
    for (const statistics of bySkip.values()) await statistics.add(...queries);
  };
  return {
    ...(bySkip.size > 0 ? { onQueries } : {}),
    skipping: (tokens) => bySkip.get(tokens),
    [Symbol.dispose]() {
      for (const statistics of bySkip.values()) statistics[Symbol.dispose]();
    },
  };
}

/** Begins to gather; `skip` leading tokens are left out: attention sinks are outliers. */
function gatherQueryStatistics(
  { config, addQueries }: Pick<Engine, "config" | "addQueries">,
  skip: number,
): QueryStatistics {
  const { layerKinds } = config;
  const globals = globalLayers(config);
  let moments: readonly QueryMoments[] | undefined;
  const free = () => moments?.forEach((one) => one[Symbol.dispose]());
  return {
    async add(queries, { position, planned }, tokens) {
      const left = Math.min(tokens, Math.max(0, skip - position));
      if (left === tokens) return;
      // Layers that are rotated alike share a table.
      const spans = new Map<number | undefined, RotarySpan>();
      const added = globals.flatMap((layer) => {
        const { rope } = layerKinds[layer] ?? {};
        const rotary = spans.get(rope) ??
          { frequencies: layerFrequencies(config, layer, planned), start: position + left };
        spans.set(rope, rotary);
        const ofLayer = queries[layer];
        return ofLayer ? [{ queries: ofLayer, rotary }] : [];
      });
      const total = await addQueries(added, left, moments);
      free();
      moments = total;
    },
    at({ position, planned }, positions) {
      return globals.map((layer, index) => {
        const { cos, sin } = rotaryRows(
          layerFrequencies(config, layer, planned),
          position,
          positions,
        );
        const rotation = { cos: meanRow(cos, positions), sin: meanRow(sin, positions) };
        return { moments: moments?.[index], rotation };
      });
    },
    [Symbol.dispose]() {
      free();
      moments = undefined;
    },
  };
}

function meanRow(rows: Float32Array, count: number): Float64Array {
  const width = rows.length / count;
  const mean = new Float64Array(width);
  rows.forEach((value, i) => mean[i % width] = (mean[i % width] ?? 0) + value / count);
  return mean;
}
