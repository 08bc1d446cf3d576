import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { evenInside, innerOption, wrapPolicy } from "./_wrap.ts";
import { chunkRanksKernel } from "./kernels/chunk_kv.ts";
import { type LayerView, type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode chunkKv}. */
export const about = {
  name: "chunk_kv",
  summary: "Wraps a policy: whole chunks of neighbouring tokens are kept, the same for every head.",
  paper: "https://arxiv.org/abs/2502.00299",
  options: {
    inner: innerOption,
    chunk: { kind: "integer", min: 1, default: 20, about: "tokens of a chunk" },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode chunkKv}. */
export type ChunkKvOptions = OptionsOf<typeof about>;

/**
 * ChunkKV: the prompt is cut into chunks; a chunk's score is the mean of the inner scores of its
 * tokens over all KV heads. Chunks are kept whole, the same ones by every head. Of an inner policy that
 * divides budgets itself its even-headed one is taken.
 *
 * Differs from the paper: exactly the budget is kept, so that of the last chunk only the best tokens
 * may stay; what the inner policy protects stays beside the chunks; layers share no indices.
 *
 * @throws {OptionError} If an option is unknown or out of range, or the policy inside chooses tokens head
 * by head and has no even-headed one (`ada_kv`, `critical_kv`).
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
  return wrapPolicy(about, evenInside(options), (inner, { settings: { chunk }, refuse }) => {
    if (inner.secondStage || inner.allocateHeads) {
      throw refuse(
        "it chooses tokens head by head, and chunks are kept whole in all heads; put " +
          `'${about.name}' inside it`,
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

export default chunkKv;
