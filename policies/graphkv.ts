import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { innerOption, wrapPolicy } from "./_wrap.ts";
import { type Decay, decayKernel } from "./kernels/graphkv.ts";
import { type LayerView, type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode graphKv}. */
export const about = {
  name: "graphkv",
  summary: "Wraps a policy: tokens whose keys resemble those of better ones lose score.",
  paper: "https://arxiv.org/abs/2509.00388",
  options: {
    inner: innerOption,
    rounds: { kind: "integer", min: 0, default: 2, about: "rounds of decay" },
    sources: {
      kind: "integer",
      min: 1,
      default: 16,
      about: "tokens that become sources in a round, per KV head",
    },
    neighbours: {
      kind: "integer",
      min: 1,
      default: 8,
      about: "tokens that a source decays: those with the most similar keys",
    },
    decay: {
      kind: "number",
      min: 0,
      max: 1,
      default: 0.5,
      about: "share of its score that a token of the same direction loses",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode graphKv}. */
export type GraphKvOptions = OptionsOf<typeof about>;

/**
 * GraphKV: tokens are nodes, the cosines of their keys edges. In each round the tokens of the highest
 * scores that are no sources yet become sources; the tokens most similar to a source lose score in
 * proportion to the similarity, once per round, by their most similar source. Sources keep their
 * scores. So that scores of any sign can decay, they sink towards the head's lowest.
 *
 * On six stretches of 1,000 tokens, SmolLM2-135M-Instruct and a budget of 128, the mean cosine of kept
 * keys falls from 0.6022 to 0.5955 around `snapkv`, and from 0.6112 to 0.6046 around `pyramidkv`
 * (`deno task bench-redundancy`).
 *
 * Differs from the paper: the numbers of rounds, sources and neighbours and the decay are our own
 * defaults; what the inner policy protects takes part like any other token.
 *
 * @throws {OptionError} If an option is unknown or out of range.
 *
 * @example
 * ```ts
 * import { graphKv } from "./graphkv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = graphKv({ decay: 0.8 });
 * assertEquals(policy.evidence, { kind: "window", size: 32 });
 * assertEquals(policy.options?.inner, "snapkv(window=32,kernel=7,pooling=max)");
 * ```
 */
export function graphKv(options: GraphKvOptions = {}): ScorerPolicy {
  return wrapPolicy(about, options, (inner, { settings }) => {
    const { kernel } = inner.score;
    return {
      score: withKernel(async (layer) => {
        const scores = (await inner.score(layer)).slice();
        const { kvHeads, length } = layer;
        for (let head = 0; head < kvHeads; head++) {
          const ofHead = scores.subarray(head * length, (head + 1) * length);
          await decayHead(ofHead, layer, head, settings);
        }
        return scores;
      }, kernel && ((layer) => decayKernel(layer, kernel(layer), settings))),
    };
  });
}

/** Lowers the scores of one KV head in place. */
async function decayHead(
  scores: Float32Array,
  layer: LayerView,
  head: number,
  { rounds, sources, neighbours, decay }: Decay,
): Promise<void> {
  if (decay === 0) return;
  const floor = scores.reduce((min, score) => Math.min(min, score), Infinity);
  const isSource = new Uint8Array(scores.length);
  for (let round = 0; round < rounds; round++) {
    const chosen = highest(scores, sources, (token) => isSource[token] === 0);
    if (chosen.length === 0) return;
    for (const token of chosen) isSource[token] = 1;
    const cosines = await layer.similarity(head, chosen);
    const strongest = new Float32Array(scores.length);
    for (let index = 0; index < chosen.length; index++) {
      const row = cosines.subarray(index * scores.length, (index + 1) * scores.length);
      for (const token of highest(row, neighbours, (token) => isSource[token] === 0)) {
        strongest[token] = Math.max(strongest[token] ?? 0, row[token] ?? 0);
      }
    }
    strongest.forEach((similarity, token) => {
      const above = (scores[token] ?? 0) - floor;
      scores[token] = (scores[token] ?? 0) - decay * Math.min(1, similarity) * above;
    });
  }
}

/** Indices of the highest values among the eligible ones, ties to the lower index. */
function highest(
  values: Float32Array,
  count: number,
  eligible: (index: number) => boolean,
): Int32Array {
  const best: number[] = [];
  let lowest = -Infinity;
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? 0;
    if ((best.length === count && value <= lowest) || !eligible(index)) continue;
    let place = best.length;
    while (place > 0 && (values[best[place - 1] ?? 0] ?? 0) < value) place--;
    best.splice(place, 0, index);
    if (best.length > count) best.pop();
    lowest = values[best[best.length - 1] ?? 0] ?? 0;
  }
  return Int32Array.from(best);
}

export default graphKv;
