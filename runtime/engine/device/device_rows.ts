import type { DeviceTensor } from "../../../kernels/device/device.ts";
import type { RowKernels } from "../../../kernels/device/row_kernels.ts";
import type { DeviceRows, Rows } from "../rows.ts";

/** What rows are worked on with. */
export interface RowContext {
  readonly kernels: RowKernels;
  /** Query heads of a KV head. */
  readonly group: number;
}

/**
 * Rows over a tensor.
 *
 * @param owned Whether disposing of the rows frees the tensor. @default {true}
 */
export function deviceRows(
  tensor: DeviceTensor,
  lengths: readonly number[],
  context: RowContext,
  owned = true,
): DeviceRows {
  const { kernels, group } = context;
  return {
    home: "device",
    tensor,
    lengths,
    async plus(other) {
      const longer = lengths.map((length, head) => Math.max(length, other.lengths[head] ?? 0));
      return deviceRows(await kernels.plus(tensor, tensorOf(other)), longer, context);
    },
    async times(factor) {
      const product = typeof factor === "number"
        ? await kernels.times(tensor, factor)
        : await kernels.timesRows(tensor, tensorOf(factor));
      return deviceRows(product, lengths, context);
    },
    leading: (fewer) => deviceRows(tensor, fewer, context, false),
    async floats() {
      return packed(await kernels.read(tensor), lengths, group);
    },
    [Symbol.dispose]() {
      if (owned) tensor[Symbol.dispose]();
    },
  };
}

/** Brings rows of each KV head, one behind the other, to a device. */
export async function writtenRows(
  floats: Float32Array,
  lengths: readonly number[],
  context: RowContext,
): Promise<DeviceRows> {
  const slots = Math.max(1, ...lengths);
  const spread = new Float32Array(lengths.length * context.group * slots);
  let from = 0;
  for (let row = 0; row < lengths.length * context.group; row++) {
    const length = lengths[Math.floor(row / context.group)] ?? 0;
    spread.set(floats.subarray(from, from + length), row * slots);
    from += length;
  }
  const tensor = await context.kernels.written(spread, lengths.length * context.group);
  return deviceRows(tensor, lengths, context);
}

/** The tensor of rows that a device made. */
export function tensorOf(rows: Rows): DeviceTensor {
  if (rows.home === "device") return rows.tensor;
  throw new TypeError("Cannot work with rows of another home: bring them to the device first");
}

function packed(spread: Float32Array, lengths: readonly number[], group: number): Float32Array {
  const rows = lengths.length * group;
  const slots = spread.length / rows;
  const floats = new Float32Array(group * lengths.reduce((sum, length) => sum + length, 0));
  let to = 0;
  for (let row = 0; row < rows; row++) {
    const length = lengths[Math.floor(row / group)] ?? 0;
    floats.set(spread.subarray(row * slots, row * slots + length), to);
    to += length;
  }
  return floats;
}
