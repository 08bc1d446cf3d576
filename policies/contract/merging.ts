/** How what is dropped goes into what stays. */
export interface Merging {
  /** Least cosine of two keys with which one token's value goes into the other's, from 0 to 1. */
  readonly threshold: number;
  /** Share of the dropped tokens of a KV head that go on, those with the nearest keys first. */
  readonly fraction: number;
}
