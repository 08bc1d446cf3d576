import type { TensorLocation, TensorType } from "../checkpoint/checkpoint.ts";
import { exactBits, type ExactType, hasOffsets, isExactType } from "./exact_blocks.ts";
import type { Precision } from "./precisions.ts";

/**
 * How a matrix is held while the model runs.
 *
 * - `stored`: read from the checkpoint as it lies there.
 * - `widened`: turned into 32-bit floats, which lose nothing.
 * - `exact4`, `exact8`: kept in blocks of 4 or 8 bits, number for number.
 * - `rounded8`: rounded to 8 bits with a scale for each 32 columns.
 */
export type Holding = "stored" | "widened" | "exact4" | "exact8" | "rounded8";

const FLOATS: ReadonlySet<TensorType> = new Set(["F32", "F16", "BF16"]);

/**
 * How a matrix of a checkpoint is held in a precision.
 *
 * @param lookedUp It is the embedding matrix, whose rows are looked up, which the kernels do only in
 * blocks without offsets.
 */
export function holdingOf(
  { type }: Pick<TensorLocation, "type">,
  precision: Precision,
  lookedUp = false,
): Holding {
  if (precision === "fp32") return FLOATS.has(type) ? "stored" : "widened";
  if (!isExactType(type)) return "rounded8";
  const bits = exactBits(type);
  if (lookedUp && (bits === 4 || hasOffsets(type))) return "rounded8";
  if (bits === 4 && precision === "int8") return "rounded8";
  return bits === 4 ? "exact4" : "exact8";
}

/** Whether a matrix is kept number for number, so that its type is one the kernels know. */
export function isHeldExactly(
  tensor: TensorLocation,
  precision: Precision,
  lookedUp: boolean,
): tensor is TensorLocation & { type: ExactType } {
  const holding = holdingOf(tensor, precision, lookedUp);
  return holding === "exact4" || holding === "exact8";
}
