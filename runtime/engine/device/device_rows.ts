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
 * Rows over a tensor, which they own.
 */
export function deviceRows(
  tensor: DeviceTensor,
  lengths: readonly number[],
  context: RowContext,
): DeviceRows {
  return rowsOver(tensor, lengths, context, { count: 1 });
}

/** @param owners Who dispose of the tensor, the last of them. Absent: somebody else does. */
function rowsOver(
  tensor: DeviceTensor,
  lengths: readonly number[],
  context: RowContext,
  owners: { count: number } | undefined,
): DeviceRows {
  const { kernels, group } = context;
  let owned = owners !== undefined;
  const joined = async (other: Rows, how: "plus" | "most") => {
    const longer = lengths.map((length, head) => Math.max(length, other.lengths[head] ?? 0));
    return deviceRows(await kernels[how](tensor, tensorOf(other)), longer, context);
  };
  return {
    home: "device",
    tensor,
    lengths,
    plus: (other) => joined(other, "plus"),
    most: (other) => joined(other, "most"),
    async times(factor) {
      const product = typeof factor === "number"
        ? await kernels.times(tensor, factor)
        : await kernels.timesRows(tensor, tensorOf(factor));
      return deviceRows(product, lengths, context);
    },
    leading: (fewer) => rowsOver(tensor, fewer, context, undefined),
    async columns(indices) {
      const counts = indices.map((ofHead) => ofHead.length);
      const width = Math.max(1, ...counts);
      const slots = new Float32Array(indices.length * width).fill(-1);
      for (const [head, ofHead] of indices.entries()) {
        const held = lengths[head] ?? 0;
        for (const [at, index] of ofHead.entries()) {
          if (index < held) slots[head * width + at] = index;
        }
      }
      return deviceRows(await kernels.columns(tensor, slots, indices.length), counts, context);
    },
    shared() {
      if (owners && owned) owners.count++;
      return rowsOver(tensor, lengths, context, owned ? owners : undefined);
    },
    async floats() {
      return packed(await kernels.read(tensor), lengths, group);
    },
    [Symbol.dispose]() {
      if (!owners || !owned) return;
      owned = false;
      owners.count--;
      if (owners.count === 0) tensor[Symbol.dispose]();
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
