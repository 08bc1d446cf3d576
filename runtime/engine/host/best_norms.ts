import { topK } from "../../evict/top_k.ts";

/** What {@linkcode bestNorms} chooses among: the tokens of one KV head. */
export interface NormChoice {
  /** Lengths of `W_O · V` for each query head of the group, `[heads of the group × tokens]`. */
  readonly lengths: Float32Array;
  /** Size of the layer's output. */
  readonly hidden: number;
  /** What each norm is multiplied with, none below 0, `[tokens]`. */
  readonly weights: Float32Array;
  /** How many of the largest products must be known. */
  readonly count: number;
}

/**
 * What lengths may be off by, as a share of the largest: they are roots of small differences of large
 * numbers where a value lies almost where the output matrix loses it.
 */
const SLACK = 4e-3;

/**
 * Norms of those tokens of a KV head whose product with a weight may be among the largest; 0 for the
 * others. A sum of absolute values is at most `√hidden` times the length, which takes a fraction of the
 * arithmetic; few tokens are then left that could be among the best.
 *
 * @param normsOf Gives the norms of some tokens.
 */
export async function bestNorms(
  { lengths, hidden, weights, count }: NormChoice,
  normsOf: (tokens: Int32Array) => Promise<Float32Array>,
): Promise<Float32Array> {
  const tokens = weights.length;
  const bounds = meanOfRows(lengths, tokens);
  const slack = SLACK * bounds.reduce((most, one) => Math.max(most, one), 0);
  for (let token = 0; token < tokens; token++) {
    const longest = Math.sqrt(hidden) * ((bounds[token] ?? 0) + slack);
    bounds[token] = longest * (weights[token] ?? 0);
  }
  const norms = new Float32Array(tokens);
  const measure = async (chosen: Int32Array): Promise<void> => {
    if (chosen.length === 0) return;
    const found = await normsOf(chosen);
    for (const [index, token] of chosen.entries()) norms[token] = found[index] ?? 0;
  };
  const likeliest = topK(bounds, Math.min(count, tokens));
  await measure(likeliest);
  const product = (token: number) => (norms[token] ?? 0) * (weights[token] ?? 0);
  const least = likeliest.reduce((least, token) => Math.min(least, product(token)), Infinity);
  // What cannot reach the least of as many tokens as are wanted is not among the best.
  const others: number[] = [];
  for (let token = 0; token < tokens; token++) {
    if ((bounds[token] ?? 0) >= least && norms[token] === 0) others.push(token);
  }
  await measure(Int32Array.from(others));
  return norms;
}

/** Means of the columns. */
function meanOfRows(rows: Float32Array, columns: number): Float32Array {
  const mean = new Float32Array(columns);
  const count = rows.length / columns;
  for (let row = 0; row < count; row++) {
    for (let column = 0; column < columns; column++) {
      mean[column] = (mean[column] ?? 0) + (rows[row * columns + column] ?? 0) / count;
    }
  }
  return mean;
}
