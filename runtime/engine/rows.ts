import type { MaybePromise } from "../../policies/policy.ts";
import { addRows, emptyRows, leadingRows } from "./host/attention_sums.ts";

/**
 * Numbers of one layer, for each query head and cached token, where the cache lives: attention that
 * keys received, or moments of logits.
 *
 * Operations give new rows and leave those that they are given alone. Disposing frees what rows take
 * on a device; in main memory it does nothing.
 */
export interface Rows extends Disposable {
  /** Columns of each KV head: tokens. Its query heads have a row each. */
  readonly lengths: readonly number[];
  /** The sum. Columns that one of the two lacks count as 0. */
  plus(other: Rows): MaybePromise<Rows>;
  /** Each number times a factor. */
  times(factor: number): MaybePromise<Rows>;
  /** The first columns of each KV head. */
  leading(lengths: readonly number[]): MaybePromise<Rows>;
  /**
   * The numbers: rows of each KV head behind one another, `[heads, length]` where all heads hold the
   * same number of tokens. Not to be written into.
   */
  floats(): MaybePromise<Float32Array>;
}

/** Rows in main memory. */
export interface HostRows extends Rows {
  /** The numbers. */
  readonly data: Float32Array;
  /** As {@linkcode Rows.plus}. */
  plus(other: Rows): HostRows;
  /** As {@linkcode Rows.times}. */
  times(factor: number): HostRows;
  /** As {@linkcode Rows.leading}. */
  leading(lengths: readonly number[]): HostRows;
  /** The numbers themselves. */
  floats(): Float32Array;
}

/**
 * Rows over an array.
 *
 * @param data Rows of each KV head behind one another.
 * @param lengths Columns of each KV head.
 * @param group Query heads of a KV head.
 */
export function hostRows(
  data: Float32Array,
  lengths: readonly number[],
  group: number,
): HostRows {
  return {
    data,
    lengths,
    plus(other) {
      const wider = lengths.map((length, head) => Math.max(length, other.lengths[head] ?? 0));
      const total = emptyRows(group, wider);
      addRows(total, data, { group, lengths: wider, added: lengths });
      addRows(total, arrayOf(other), { group, lengths: wider, added: other.lengths });
      return hostRows(total, wider, group);
    },
    times: (factor) => hostRows(data.map((value) => value * factor), lengths, group),
    leading(fewer) {
      const more = (lengths[0] ?? 0) - (fewer[0] ?? 0);
      return hostRows(leadingRows(data, group, fewer, more), fewer, group);
    },
    floats: () => data,
    [Symbol.dispose]() {},
  };
}

/** The array of rows in main memory. */
function arrayOf(rows: Rows): Float32Array {
  if ("data" in rows) return (rows as HostRows).data;
  throw new TypeError("Cannot work with rows of another home: bring them to main memory first");
}
