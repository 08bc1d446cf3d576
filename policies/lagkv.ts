import { joined, places, sameForHeads, scalar } from "./_kernel_nodes.ts";
import { integer, type PolicyAbout, readOptions } from "./_options.ts";
import {
  type KernelBuilder,
  type KernelValue,
  type LayerView,
  type ScorerPolicy,
  withKernel,
} from "./policy.ts";

const PAPER = "https://arxiv.org/abs/2504.04704";

/** Options of {@linkcode lagKv}. */
export interface LagKvOptions {
  /**
   * Leading tokens that are kept before all others.
   *
   * @default {4}
   */
  readonly sinks?: number;
  /**
   * Tokens per window: each window is judged by the one behind it.
   *
   * @default {128}
   */
  readonly lag?: number;
}

/** What the registry says about {@linkcode lagKv}. */
export const about: PolicyAbout<LagKvOptions> = {
  name: "lagkv",
  summary: "Keeps the tokens whose keys and values stand out from the window behind them.",
  paper: PAPER,
  options: {
    sinks: integer({
      min: 0,
      default: 4,
      about: "leading tokens that are kept before all others",
    }),
    lag: integer({ min: 2, default: 128, about: "tokens per window" }),
  },
};

/**
 * LagKV: behind the sinks the prompt is cut into windows of `lag` tokens. The keys and the values of
 * each window are scaled by the least and greatest value that each dimension takes in the next
 * window; a token stands out by the standard deviation of its scaled dimensions, softmaxed over the
 * window. The score is the token's rank in its window, from 0 to 1. Sinks, the last whole window and
 * what lies behind it are kept before all others, as far as the budget goes.
 *
 * Paper: https://arxiv.org/abs/2504.04704
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
  const settings = readOptions(about, options);
  const { sinks, lag } = settings;
  return Object.freeze<ScorerPolicy>({
    name: about.name,
    paper: PAPER,
    options: settings,
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
    }, (layer) => judged(layer, settings)),
  });
}

/** Tokens before this one lie in a window with a whole one behind it, or are sinks. */
function judgedEnd(length: number, { sinks, lag }: Required<LagKvOptions>): number {
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
  const least = new Float64Array(headDim).fill(Infinity);
  const range = new Float64Array(headDim).fill(-Infinity);
  for (let token = start + lag; token < start + 2 * lag; token++) {
    const from = token * row + head * headDim;
    for (let i = 0; i < headDim; i++) {
      const value = rows[from + i] ?? 0;
      if (value < (least[i] ?? 0)) least[i] = value;
      if (value > (range[i] ?? 0)) range[i] = value;
    }
  }
  for (let i = 0; i < headDim; i++) range[i] = (range[i] ?? 0) - (least[i] ?? 0);
  // A dimension that never changes tells nothing.
  const scale = range.map((width) => width > 0 ? 1 / width : 0);
  const spreads = new Float64Array(lag);
  for (let token = 0; token < lag; token++) {
    const from = (start + token) * row + head * headDim;
    let [sum, squares] = [0, 0];
    for (let i = 0; i < headDim; i++) {
      const value = ((rows[from + i] ?? 0) - (least[i] ?? 0)) * (scale[i] ?? 0);
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
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = values.map((value) => Math.exp(value - most));
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

/** The same scores where keys and values lie: all windows at once. */
function judged(builder: KernelBuilder, settings: Required<LagKvOptions>): KernelValue {
  const { kvHeads, headDim, length } = builder;
  const { sinks, lag } = settings;
  const end = judgedEnd(length, settings);
  if (end <= sinks) return sameForHeads(builder, unjudged(length, sinks));
  const windows = (end - sinks) / lag;
  const shape = [kvHeads, windows, lag];
  const cut = (values: KernelValue, axis: number, from: number, to: number) =>
    builder.op("Slice", [
      values,
      builder.integers([from]),
      builder.integers([to]),
      builder.integers([axis]),
    ]);
  const reduced = (operator: string, values: KernelValue, axis: number) =>
    builder.op(operator, [values, builder.integers([axis])], { keepdims: { int: 1 } });
  const spreads = (entries: KernelValue): KernelValue => {
    const all = builder.op("Reshape", [
      cut(entries, 1, sinks, end + lag),
      builder.integers([kvHeads, windows + 1, lag, headDim]),
    ]);
    const behind = cut(all, 1, 1, windows + 1);
    const least = reduced("ReduceMin", behind, 2);
    const range = builder.op("Sub", [reduced("ReduceMax", behind, 2), least]);
    // A dimension that never changes tells nothing.
    const scale = builder.op("Where", [
      builder.op("Greater", [range, scalar(builder, 0)]),
      builder.op("Div", [scalar(builder, 1), builder.op("Max", [range, scalar(builder, 1e-30)])]),
      scalar(builder, 0),
    ]);
    const scaled = builder.op("Mul", [
      builder.op("Sub", [cut(all, 1, 0, windows), least]),
      scale,
    ]);
    const centred = builder.op("Sub", [scaled, reduced("ReduceMean", scaled, 3)]);
    const squares = builder.op("Mul", [centred, centred]);
    const variance = builder.op("Mul", [
      reduced("ReduceSum", squares, 3),
      scalar(builder, 1 / Math.max(1, headDim - 1)),
    ]);
    const spread = builder.op("Reshape", [builder.op("Sqrt", [variance]), builder.integers(shape)]);
    return builder.op("Softmax", [spread], { axis: { int: -1 } });
  };
  const both = builder.op("Add", [spreads(builder.keys()), spreads(builder.values())]);
  const ranked = builder.op("Mul", [
    places(builder, both, shape, false),
    scalar(builder, 1 / lag),
  ]);
  const certain = (tokens: number) =>
    tokens === 0
      ? []
      : [builder.constant(new Float32Array(kvHeads * tokens).fill(1), [kvHeads, tokens])];
  const flat = builder.op("Reshape", [ranked, builder.integers([kvHeads, windows * lag])]);
  return joined(builder, [...certain(sinks), flat, ...certain(length - end)], 1);
}

export default lagKv;
