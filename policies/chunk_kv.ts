import { type InnerOption, innerOption, wrap } from "./_inner.ts";
import { columns, joined, places, scalar } from "./_kernel_nodes.ts";
import { integer, type PolicyAbout, readOptions } from "./_options.ts";
import {
  type KernelBuilder,
  type KernelValue,
  type LayerView,
  OptionError,
  type ScorerPolicy,
  withKernel,
} from "./policy.ts";

/** Options of {@linkcode chunkKv}. */
export interface ChunkKvOptions extends InnerOption {
  /**
   * Tokens of a chunk.
   *
   * @default {20}
   */
  readonly chunk?: number;
}

/** What the registry says about {@linkcode chunkKv}. */
export const about: PolicyAbout<ChunkKvOptions> = {
  name: "chunk_kv",
  summary: "Wraps a policy: whole chunks of neighbouring tokens are kept, the same for every head.",
  paper: "https://arxiv.org/abs/2502.00299",
  options: {
    inner: innerOption,
    chunk: integer({ min: 1, default: 20, about: "tokens of a chunk" }),
  },
};

/**
 * ChunkKV: the prompt is cut into chunks; a chunk's score is the mean of the inner scores of its
 * tokens over all KV heads. Chunks are kept whole, the same ones by every head.
 *
 * Paper: https://arxiv.org/abs/2502.00299
 *
 * Differs from the paper: exactly the budget is kept, so that of the last chunk only the best tokens
 * may stay; what the inner policy protects stays beside the chunks; layers share no indices.
 *
 * @throws {OptionError} If an option is unknown or out of range, or the policy inside chooses tokens head
 * by head (`ada_kv`, `critical_kv`).
 *
 * @example
 * ```ts
 * import { chunkKv } from "./chunk_kv.ts";
 * import { snapKv } from "./snapkv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = chunkKv({ inner: snapKv({ window: 8 }), chunk: 10 });
 * assertEquals(policy.options, { inner: "snapkv(window=8,kernel=7,pooling=max)", chunk: 10 });
 * assertEquals(policy.protect, { recent: 8 });
 * ```
 */
export function chunkKv(options: ChunkKvOptions = {}): ScorerPolicy {
  const settings = readOptions(about, options);
  const { chunk } = settings;
  return wrap(about, settings, (inner) => {
    if (inner.secondStage || inner.allocateHeads) {
      throw new OptionError(
        `Cannot wrap '${inner.name}' in '${about.name}': it chooses tokens head by head, and chunks ` +
          `are kept whole in all heads; put '${about.name}' inside it`,
      );
    }
    const { kernel } = inner.score;
    return {
      score: withKernel(
        async (layer) => chunkRanks(await inner.score(layer), layer, chunk),
        kernel && ((layer) => chunkRanksKernel(layer, kernel(layer), chunk)),
      ),
    };
  });
}

/** Ranks from 0 to 1: a better chunk above a worse one, in a chunk a better token above a worse. */
function chunkRanks(
  scores: Float32Array,
  { kvHeads, length }: LayerView,
  chunk: number,
): Float32Array {
  const means = new Float64Array(length);
  scores.forEach((score, index) => {
    means[index % length] = (means[index % length] ?? 0) + score / kvHeads;
  });
  const chunks = Array.from({ length: Math.ceil(length / chunk) }, (_, index) => {
    const tokens = Array.from(
      { length: Math.min(chunk, length - index * chunk) },
      (_, offset) => index * chunk + offset,
    );
    const sum = tokens.reduce((total, token) => total + (means[token] ?? 0), 0);
    tokens.sort((a, b) => (means[b] ?? 0) - (means[a] ?? 0));
    return { mean: sum / tokens.length, tokens };
  });
  chunks.sort((a, b) => b.mean - a.mean);
  const ranks = new Float32Array(kvHeads * length);
  chunks.flatMap(({ tokens }) => tokens).forEach((token, place) => {
    for (let head = 0; head < kvHeads; head++) {
      ranks[head * length + token] = 1 - place / length;
    }
  });
  return ranks;
}

/** The same ranks where the scores are. */
function chunkRanksKernel(builder: KernelBuilder, scores: KernelValue, size: number): KernelValue {
  const { kvHeads, length } = builder;
  const chunk = Math.min(size, length);
  const count = Math.ceil(length / chunk);
  const missing = count * chunk - length;
  const shape = [count, chunk];
  const means = builder.op("ReduceMean", [scores, builder.integers([0])], {
    keepdims: { int: 1 },
  });
  const padded = (fill: number): KernelValue => {
    const spare = builder.constant(new Float32Array(missing).fill(fill), [1, missing]);
    return builder.op("Reshape", [
      joined(builder, missing > 0 ? [means, spare] : [means], 1),
      builder.integers(shape),
    ]);
  };
  const sums = builder.op("ReduceSum", [padded(0), builder.integers([1])], {
    keepdims: { int: 0 },
  });
  const sizes = new Float32Array(count).fill(chunk);
  sizes[count - 1] = chunk - missing;
  const chunkPlace = places(
    builder,
    builder.op("Div", [sums, builder.constant(sizes, [count])]),
    [count],
    true,
  );
  // The last chunk may be shorter: those behind it begin so much earlier.
  const last = builder.op("Slice", [
    chunkPlace,
    builder.integers([count - 1]),
    builder.integers([count]),
    builder.integers([0]),
  ]);
  const behind = builder.op("Where", [
    builder.op("Greater", [chunkPlace, last]),
    scalar(builder, missing),
    scalar(builder, 0),
  ]);
  const begins = builder.op("Sub", [
    builder.op("Mul", [chunkPlace, scalar(builder, chunk)]),
    behind,
  ]);
  const place = builder.op("Add", [
    places(builder, padded(-Infinity), shape, true),
    builder.op("Reshape", [begins, builder.integers([count, 1])]),
  ]);
  const row = columns(
    builder,
    builder.op("Reshape", [place, builder.integers([1, count * chunk])]),
    0,
    length,
  );
  const ranks = builder.op("Sub", [
    scalar(builder, 1),
    builder.op("Div", [row, scalar(builder, length)]),
  ]);
  return builder.op("Expand", [ranks, builder.integers([kvHeads, length])]);
}

export default chunkKv;
