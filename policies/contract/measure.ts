/**
 * What a query gives to a token by which it is judged: what the head's output would lose without it.
 *
 * Without token `j`, which gets the share `p` of query `i`, the others share what is left, and the output
 * `o` moves by `p / (1 − p) · (o − v)`. Its length, to a power, is added up over the queries.
 */
export interface DropMeasure {
  /** Whether the output is that of the layer, behind `W_O`, or that of the head. */
  readonly output: "head" | "layer";
  /** Power of the length. */
  readonly power: 1 | 2;
  /**
   * What a query's weight is multiplied with for each query behind it, from 0 to 1; the weights come to 1.
   * Absent: each counts once.
   */
  readonly decay?: number;
}
