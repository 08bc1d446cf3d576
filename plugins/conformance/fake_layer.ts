import type { ExpectedLogits, LayerView } from "../../policies/policy.ts";
import { EvidenceError } from "../../runtime/errors.ts";
import { outputNorms } from "./output_norms.ts";

/** What a fake layer is made of. */
export interface FakeLayer {
  readonly layer?: number;
  readonly layers?: number;
  /** @default {0} */
  readonly firstHead?: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly length: number;
  readonly keys?: Float32Array;
  readonly values?: Float32Array;
  /** `[heads × length]`; absent: the policy declared no evidence. */
  readonly attention?: Float32Array;
  /** What a draft attends to, `[heads × length]`; absent: the policy declared none. */
  readonly draft?: Float32Array;
  /** Absent: the policy declared other evidence. */
  readonly expected?: ExpectedLogits;
  /** `[kvHeads × length]`. @default {0, 1, 2 … for each head} */
  readonly positions?: Int32Array;
  /** The output matrix, `[hidden, heads · headDim]`. @default {one that changes nothing} */
  readonly output?: Float32Array;
}

/**
 * A layer in plain arrays. It hands out the arrays themselves, so that one sees when a policy
 * writes into them.
 */
export function fakeLayer(fake: FakeLayer): LayerView {
  const { heads, kvHeads, headDim, length, attention } = fake;
  const size = length * kvHeads * headDim;
  const { keys = new Float32Array(size), values = new Float32Array(size) } = fake;
  const positions = fake.positions ??
    Int32Array.from({ length: kvHeads * length }, (_, index) => index % length);
  const received = () =>
    attention === undefined
      ? Promise.reject(new EvidenceError("The fake layer has no attention"))
      : Promise.resolve(attention);
  return {
    layer: fake.layer ?? 0,
    layers: fake.layers ?? 1,
    heads,
    kvHeads,
    firstHead: fake.firstHead ?? 0,
    headDim,
    length,
    positions,
    keys: () => Promise.resolve(keys),
    values: () => Promise.resolve(values),
    attention: received,
    expectedLogits: () =>
      fake.expected
        ? Promise.resolve(fake.expected)
        : Promise.reject(new EvidenceError("The fake layer has no statistics")),
    similarity: (kvHead, tokens) => Promise.resolve(cosines(keys, kvHead, tokens, fake)),
    groupAttention: async () => meanOfGroups(await received(), heads, kvHeads),
    draftAttention: () =>
      fake.draft
        ? Promise.resolve(fake.draft)
        : Promise.reject(new EvidenceError("The fake layer has no draft")),
    outputNorms: () =>
      Promise.resolve(
        outputNorms({
          values,
          output: fake.output ?? unit(heads * headDim),
          heads,
          kvHeads,
          headDim,
        }),
      ),
  };
}

function unit(size: number): Float32Array {
  const matrix = new Float32Array(size * size);
  for (let index = 0; index < size; index++) matrix[index * size + index] = 1;
  return matrix;
}

/** Cosines between keys of a KV head in double precision, `[tokens × length]`. */
export function cosines(
  keys: Float32Array,
  kvHead: number,
  tokens: Int32Array,
  { kvHeads, headDim, length }: Pick<FakeLayer, "kvHeads" | "headDim" | "length">,
): Float32Array {
  const at = (token: number, i: number) => keys[(token * kvHeads + kvHead) * headDim + i] ?? NaN;
  const product = (a: number, b: number) => {
    let sum = 0;
    for (let i = 0; i < headDim; i++) sum += at(a, i) * at(b, i);
    return sum;
  };
  const squares = Float64Array.from({ length }, (_, token) => product(token, token));
  const found = new Float32Array(tokens.length * length);
  for (const [row, token] of tokens.entries()) {
    for (let other = 0; other < length; other++) {
      const scale = Math.sqrt((squares[token] ?? NaN) * (squares[other] ?? NaN));
      found[row * length + other] = scale > 0 ? product(token, other) / scale : 0;
    }
  }
  return found;
}

/** Mean of `[heads × length]` over the query heads of each group: `[kvHeads × length]`. */
export function meanOfGroups(
  attention: Float32Array,
  heads: number,
  kvHeads: number,
): Float32Array {
  const length = attention.length / heads;
  const size = heads / kvHeads;
  return Float32Array.from({ length: kvHeads * length }, (_, index) => {
    const group = Math.floor(index / length);
    let sum = 0;
    for (let head = group * size; head < (group + 1) * size; head++) {
      sum += attention[head * length + index % length] ?? NaN;
    }
    return sum / size;
  });
}

/** A layer of noise: rows of attention sum to 1, the same seed gives the same layer. */
export function noiseLayer(
  fake: Omit<FakeLayer, "keys" | "values" | "attention" | "draft" | "expected"> & { seed: number },
): LayerView {
  const { heads, kvHeads, headDim, length, seed } = fake;
  let state = seed >>> 0;
  const noise = (count: number) => {
    const numbers = new Float32Array(count);
    for (let index = 0; index < count; index++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      numbers[index] = state / 2 ** 32;
    }
    return numbers;
  };
  const paid = () => {
    const attention = noise(heads * length);
    for (let head = 0; head < heads; head++) {
      const row = attention.subarray(head * length, (head + 1) * length);
      const sum = row.reduce((total, one) => total + one, 0);
      row.forEach((value, index) => row[index] = value / sum);
    }
    return attention;
  };
  const attention = paid();
  const size = length * kvHeads * headDim;
  const expected = { mean: noise(heads * length), variance: noise(heads * length) };
  const [keys, values] = [noise(size), noise(size)];
  return fakeLayer({ ...fake, keys, values, attention, expected, draft: paid() });
}
