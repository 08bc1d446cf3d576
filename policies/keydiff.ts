import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { norms, scalar } from "./kernels/nodes.ts";
import { type KernelBuilder, type KernelValue, type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode keyDiff}. */
export const about = {
  name: "keydiff",
  summary: "Keeps the tokens whose keys differ most from the mean key; needs no attention.",
  paper: "https://arxiv.org/abs/2504.15364",
  options: {},
} as const satisfies PolicyAbout;

/** KeyDiff has no options. */
export type KeyDiffOptions = OptionsOf<typeof about>;

/**
 * KeyDiff: the score is minus the cosine between a key and the mean of all normalised keys of its KV
 * head.
 *
 * Differs from the paper: the prompt is evicted once, after prefill, where the paper evicts block by
 * block while it reads.
 *
 * @throws {OptionError} If any option is given.
 *
 * @example
 * ```ts
 * import { keyDiff } from "./keydiff.ts";
 * import type { LayerView } from "./policy.ts";
 * import { assert } from "@std/assert";
 *
 * const keys = () => Promise.resolve(new Float32Array([1, 0, 1, 0, 0, 1]));
 * const layer = { kvHeads: 1, headDim: 2, length: 3, keys } as LayerView;
 * const [first = NaN, second = NaN, third = NaN] = await keyDiff().score(layer);
 * assert(first === second && third > first);
 * ```
 */
export function keyDiff(options: KeyDiffOptions = {}): ScorerPolicy {
  return makePolicy(about, options, () => ({
    evidence: { kind: "none" },
    score: withKernel(async ({ kvHeads, headDim, length, keys }) => {
      const rows = await keys();
      const scores = new Float32Array(kvHeads * length);
      for (let head = 0; head < kvHeads; head++) {
        const anchor = new Float64Array(headDim);
        const norms = new Float64Array(length);
        for (let token = 0; token < length; token++) {
          const start = (token * kvHeads + head) * headDim;
          let squares = 0;
          for (let i = 0; i < headDim; i++) {
            const value = rows[start + i] ?? 0;
            squares += value * value;
          }
          const size = norms[token] = Math.sqrt(squares);
          if (size === 0) continue;
          for (let i = 0; i < headDim; i++) {
            anchor[i] = (anchor[i] ?? 0) + (rows[start + i] ?? 0) / size;
          }
        }
        const size = Math.hypot(...anchor);
        for (let token = 0; token < length; token++) {
          const start = (token * kvHeads + head) * headDim;
          let product = 0;
          for (let i = 0; i < headDim; i++) product += (rows[start + i] ?? 0) * (anchor[i] ?? 0);
          const scale = (norms[token] ?? 0) * size;
          // A key without length points nowhere: it differs as one at a right angle does.
          scores[head * length + token] = scale > 0 ? -product / scale : 0;
        }
      }
      return scores;
    }, differences),
  }));
}

/** The same scores where the keys lie. */
function differences(builder: KernelBuilder): KernelValue {
  const keys = builder.keys();
  const above = (value: KernelValue, min: number) =>
    builder.op("Max", [value, scalar(builder, min)]);
  const sum = (value: KernelValue, axis: number, keep: boolean) =>
    builder.op("ReduceSum", [value, builder.integers([axis])], { keepdims: { int: keep ? 1 : 0 } });
  const size = norms(builder, keys, true);
  const anchor = sum(builder.op("Div", [keys, above(size, 1e-20)]), 1, true);
  const product = sum(builder.op("Mul", [keys, anchor]), 2, false);
  const scale = builder.op("Squeeze", [
    builder.op("Mul", [size, norms(builder, anchor, true)]),
    builder.integers([2]),
  ]);
  return builder.op("Neg", [builder.op("Div", [product, above(scale, 1e-20)])]);
}

export default keyDiff;
