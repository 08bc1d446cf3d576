import type { DeviceTensor } from "../../kernels/device/device.ts";
import type { MaybePromise } from "../../policies/policy.ts";

/**
 * Numbers of one layer, for each query head and cached token, where the cache lives: attention that
 * keys received, or moments of logits.
 *
 * Operations give new rows and leave those that they are given alone. Disposing frees what rows take
 * on a device; in main memory it does nothing.
 */
export type Rows = HostRows | DeviceRows;

/** What rows have and do wherever they lie. */
export interface BaseRows extends Disposable {
  /** Where the numbers are: main memory, or a device. */
  readonly home: "host" | "device";
  /** Columns of each KV head: tokens. Its query heads have a row each. */
  readonly lengths: readonly number[];
  /** The sum. Columns that one of the two lacks count as 0. */
  plus(other: Rows): MaybePromise<Rows>;
  /** The larger of both. Columns that one of the two lacks count as 0. */
  most(other: Rows): MaybePromise<Rows>;
  /** Each number times a factor, or times that in the same place of other rows of as many tokens or more. */
  times(factor: number | Rows): MaybePromise<Rows>;
  /** The first columns of each KV head. */
  leading(lengths: readonly number[]): MaybePromise<Rows>;
  /**
   * Some columns of each KV head, by their indices. Those that it lacks are 0.
   *
   * @param indices Of each KV head.
   */
  columns(indices: readonly Int32Array[]): MaybePromise<Rows>;
  /** The same rows for another owner: on a device the numbers stay until all owners have disposed of theirs. */
  shared(): Rows;
  /**
   * The numbers: rows of each KV head behind one another, `[heads, length]` where all heads hold the
   * same number of tokens. Not to be written into.
   */
  floats(): MaybePromise<Float32Array>;
}

/** Rows in main memory. */
export interface HostRows extends BaseRows {
  /** Main memory. */
  readonly home: "host";
  /** The numbers. */
  readonly data: Float32Array;
  /** As {@linkcode BaseRows.plus}. */
  plus(other: Rows): HostRows;
  /** As {@linkcode BaseRows.most}. */
  most(other: Rows): HostRows;
  /** As {@linkcode BaseRows.times}. */
  times(factor: number | Rows): HostRows;
  /** As {@linkcode BaseRows.leading}. */
  leading(lengths: readonly number[]): HostRows;
  /** As {@linkcode BaseRows.columns}. */
  columns(indices: readonly Int32Array[]): HostRows;
  /** As {@linkcode BaseRows.shared}. */
  shared(): HostRows;
  /** The numbers themselves. */
  floats(): Float32Array;
}

/** Rows in the memory of a device: `[heads, slots]`, each head's numbers in its first slots. */
export interface DeviceRows extends BaseRows {
  /** A device. */
  readonly home: "device";
  /** The numbers. */
  readonly tensor: DeviceTensor;
}
