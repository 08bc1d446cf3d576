import type { CacheShape } from "./bytes_per_token.ts";
import { allocate } from "./memory.ts";

/** Keys, values and positions of tokens, those of all KV heads of a token side by side. */
export interface TokenRows {
  /** `[tokens, kvHeads, headDim]`. */
  readonly keys: Float32Array;
  /** Like the keys. */
  readonly values: Float32Array;
  /** `[tokens]`: the same for all KV heads. */
  readonly positions: Int32Array;
}

/** TokenRows in memory that goes back when it is released. */
export interface TokenStore {
  keys: Float32Array<ArrayBuffer>;
  values: Float32Array<ArrayBuffer>;
  positions: Int32Array<ArrayBuffer>;
}

type HeadShape = Pick<CacheShape, "kvHeads" | "headDim">;

/** Room for so many tokens. */
export function rowsOf(tokens: number, { kvHeads, headDim }: HeadShape): TokenStore {
  const floats = tokens * kvHeads * headDim * Float32Array.BYTES_PER_ELEMENT;
  return {
    keys: new Float32Array(allocate(floats)),
    values: new Float32Array(allocate(floats)),
    positions: new Int32Array(allocate(tokens * Int32Array.BYTES_PER_ELEMENT)),
  };
}

/** Copies tokens. */
export function copyRows(
  source: { readonly from: TokenRows; readonly at: number },
  target: { readonly to: TokenRows; readonly at: number },
  tokens: number,
  { kvHeads, headDim }: HeadShape,
): void {
  const row = kvHeads * headDim;
  for (const name of ["keys", "values"] as const) {
    const rows = source.from[name].subarray(source.at * row, (source.at + tokens) * row);
    target.to[name].set(rows, target.at * row);
  }
  target.to.positions.set(
    source.from.positions.subarray(source.at, source.at + tokens),
    target.at,
  );
}
