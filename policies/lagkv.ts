import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout, Settings } from "./_options.ts";
import { lagKernel } from "./kernels/lagkv.ts";
import { type LayerView, type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode lagKv}. */
export const about = {
  name: "lagkv",
  summary: "Keeps the tokens whose keys and values stand out from the window behind them.",
  paper: "https://arxiv.org/abs/2504.04704",
  options: {
    sinks: {
      kind: "integer",
      min: 0,
      default: 4,
      about: "leading tokens that are kept before all others",
    },
    lag: { kind: "integer", min: 2, default: 128, about: "tokens per window" },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode lagKv}. */
export type LagKvOptions = OptionsOf<typeof about>;

/**
 * LagKV: behind the sinks the prompt is cut into windows of `lag` tokens. The keys and the values of
 * each window are scaled by the smallest and largest value that each dimension takes in the next
 * window; a token stands out by the standard deviation of its scaled dimensions, softmaxed over the
 * window. The score is the token's rank in its window, from 0 to 1. Sinks, the last whole window and
 * what lies behind it are kept before all others, as far as the budget goes.
 *
 * Differs from the paper: a share of the whole prompt is kept where the paper keeps that share of each
 * window; a prompt of fewer than two windows keeps its last tokens.
 *
 * @throws {OptionError} If an option is unknown or out of range.
 *
 * @example
 * ```ts
 * import { lagKv } from "./lagkv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = lagKv({ lag: 16 });
 * assertEquals(policy.options, { sinks: 4, lag: 16 });
 * assertEquals(policy.evidence, { kind: "none" });
 * ```
 */
export function lagKv(options: LagKvOptions = {}): ScorerPolicy {
  return makePolicy(about, options, (settings) => {
    const { sinks, lag } = settings;
    return {
      evidence: { kind: "none" },
      protect(keep, length) {
        const first = Math.min(sinks, keep);
        const tail = Math.max(0, length - judgedEnd(length, settings));
        return { sinks: first, recent: Math.min(tail, keep - first) };
      },
      score: withKernel(async (layer) => {
        const { kvHeads, length } = layer;
        const end = judgedEnd(length, settings);
        const scores = new Float32Array(kvHeads * length).fill(1);
        if (end <= sinks) {
          const row = unjudged(length, sinks);
          return scores.map((_, index) => row[index % length] ?? 0);
        }
        const [keys, values] = [await layer.keys(), await layer.values()];
        for (let head = 0; head < kvHeads; head++) {
          for (let start = sinks; start < end; start += lag) {
            const [ofKeys, ofValues] = [keys, values].map((rows) =>
              standingOut(rows, layer, { head, start, lag })
            );
            const both = Float64Array.from(ofKeys ?? [], (one, i) => one + (ofValues?.[i] ?? 0));
            ranks(both).forEach((rank, i) => scores[head * length + start + i] = rank / lag);
          }
        }
        return scores;
      }, (layer) => lagKernel(layer, { sinks, lag })),
    };
  });
}

/** Tokens before this one lie in a window with a whole one behind it, or are sinks. */
function judgedEnd(length: number, { sinks, lag }: Settings<typeof about>): number {
  return sinks + Math.max(0, Math.floor((length - sinks) / lag) - 1) * lag;
}

/** Scores where no window has one behind it. */
function unjudged(length: number, sinks: number): Float32Array {
  return Float32Array.from(
    { length },
    (_, token) => token < sinks ? 1 : (token - sinks) / (length - sinks),
  );
}

interface Window {
  readonly head: number;
  readonly start: number;
  readonly lag: number;
}

/** How much each token of a window stands out from the next window: softmax over the window. */
function standingOut(
  rows: Float32Array,
  { kvHeads, headDim }: LayerView,
  { head, start, lag }: Window,
): Float64Array {
  const row = kvHeads * headDim;
  const min = new Float64Array(headDim).fill(Infinity);
  const range = new Float64Array(headDim).fill(-Infinity);
  for (let token = start + lag; token < start + 2 * lag; token++) {
    const from = token * row + head * headDim;
    for (let i = 0; i < headDim; i++) {
      const value = rows[from + i] ?? 0;
      if (value < (min[i] ?? 0)) min[i] = value;
      if (value > (range[i] ?? 0)) range[i] = value;
    }
  }
  for (let i = 0; i < headDim; i++) range[i] = (range[i] ?? 0) - (min[i] ?? 0);
  // A dimension that never changes says nothing.
  const scale = range.map((width) => width > 0 ? 1 / width : 0);
  const spreads = new Float64Array(lag);
  for (let token = 0; token < lag; token++) {
    const from = (start + token) * row + head * headDim;
    let [sum, squares] = [0, 0];
    for (let i = 0; i < headDim; i++) {
      const value = ((rows[from + i] ?? 0) - (min[i] ?? 0)) * (scale[i] ?? 0);
      sum += value;
      squares += value * value;
    }
    // Standard deviation of a sample; rounding must not make it the root of less than 0.
    const variance = (squares - sum * sum / headDim) / Math.max(1, headDim - 1);
    spreads[token] = Math.sqrt(Math.max(0, variance));
  }
  return softmax(spreads);
}

function softmax(values: Float64Array): Float64Array {
  const max = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = values.map((value) => Math.exp(value - max));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** Position of each value in ascending order. */
function ranks(values: Float64Array): Float64Array {
  const order = Array.from(values.keys()).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const places = new Float64Array(values.length);
  order.forEach((index, place) => places[index] = place);
  return places;
}

export default lagKv;
