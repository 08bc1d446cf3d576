import type { DeviceTensor } from "../../kernels/device/device.ts";
import type { MaybePromise } from "../../policies/policy.ts";
import type { Rows } from "./rows.ts";

/** What the attention of each global layer reads, for the tokens of a step, where the cache lives. */
export type LayerInputs = HostInputs | DeviceInputs;

/** Inputs in main memory. */
export interface HostInputs extends Disposable {
  /** Main memory. */
  readonly home: "host";
  /** `[tokens, hidden]` of each global layer. */
  readonly byLayer: readonly Float32Array[];
}

/** Inputs on a device. */
export interface DeviceInputs extends Disposable {
  /** A device. */
  readonly home: "device";
  /** `[global layers · tokens, hidden]`. */
  readonly tensor: DeviceTensor;
}

/** Scores of one set of networks, where the cache lives: those of what is read are added step by step. */
export interface PredictedScores extends Disposable {
  /** Adds tokens of which these are the inputs. */
  add(inputs: LayerInputs, tokens: number): Promise<void>;
  /**
   * Scores of all that a global layer holds: those of what was read just now behind those of what was held.
   * Tokens without a score rank above all others. The caller owns the rows.
   *
   * @param layer Its number among the global layers.
   * @param lengths Tokens that each KV head holds.
   * @param earlier Rows of what was held, where they are known.
   */
  rows(layer: number, lengths: readonly number[], earlier: Rows | undefined): MaybePromise<Rows>;
}
