import type { DeviceTensor } from "../../kernels/device/device.ts";
import type { MomentTensors } from "../../kernels/device/query_moments.ts";
import type { ChunkStatistics } from "../../kernels/query_statistics.ts";
import type { MaybePromise } from "../../policies/policy.ts";

/** Moments of the un-rotated queries of one layer, where the cache lives. Whoever asked for them owns them. */
export type QueryMoments = HostMoments | DeviceMoments;

/** What moments have wherever they lie. */
export interface BaseMoments extends Disposable {
  /** Where the numbers are: main memory, or a device. */
  readonly home: "host" | "device";
  /** Tokens that they are of. */
  readonly count: number;
  /** The numbers, in main memory. */
  statistics(): MaybePromise<ChunkStatistics>;
}

/** Moments in main memory. */
export interface HostMoments extends BaseMoments {
  /** Main memory. */
  readonly home: "host";
  /** `[heads, headDim]`. */
  readonly mean: Float64Array;
  /** Outer products of the differences from the mean, summed, `[heads, headDim, headDim]`. */
  readonly products: Float64Array;
}

/** Moments on a device. */
export interface DeviceMoments extends BaseMoments {
  /** A device. */
  readonly home: "device";
  /** The numbers. */
  readonly tensors: MomentTensors;
}

/** What queries to come are expected to be, in one layer. */
export interface ExpectedQueries {
  /** Absent where nothing was added. */
  readonly moments: QueryMoments | undefined;
  /** The mean rotation of the positions that they will have, `[headDim / 2]`. */
  readonly rotation: MeanRotation;
}

/** The mean of rotations. */
export interface MeanRotation {
  /** Means of cosines. */
  readonly cos: Float64Array;
  /** Means of sines. */
  readonly sin: Float64Array;
}

/** Moments over tensors of a device. */
export function deviceMoments(
  tensors: MomentTensors,
  count: number,
  read: (tensor: DeviceTensor) => Promise<Float32Array>,
): DeviceMoments {
  return {
    home: "device",
    count,
    tensors,
    statistics: async () => ({
      mean: await read(tensors.mean),
      products: await read(tensors.products),
    }),
    [Symbol.dispose]() {
      tensors.mean[Symbol.dispose]();
      tensors.products[Symbol.dispose]();
    },
  };
}
