import { CheckpointError } from "../errors.ts";
import type { TensorLocation } from "./checkpoint.ts";
import type { FamilyTensor, FusedTensor, ModelFamily } from "./families/family.ts";
import { weightName } from "./tensor_names.ts";

/** A stored matrix that holds a needed one among its rows. */
export interface FusedMatrix<T> {
  /** Hugging Face name of the stored matrix. */
  readonly name: string;
  readonly tensor: T;
  /** Rows that it must have. */
  readonly rows: number;
  /** First row of the needed matrix. */
  readonly from: number;
}

/**
 * The stored matrix that holds a needed one, where the family fuses them and the checkpoint has it.
 *
 * @param rowsOf Rows of each matrix of the layer, by its name in the family.
 */
export function fusedMatrix<T>(
  { fused = [], layer: tensors }: ModelFamily,
  { tensor, layer, name }: {
    readonly tensor: FamilyTensor;
    readonly layer?: number;
    readonly name: string;
  },
  found: ReadonlyMap<string, T>,
  rowsOf: (role: FusedTensor["parts"][number]) => number,
): FusedMatrix<T> | undefined {
  if (!name.endsWith(".weight")) return undefined;
  for (const candidate of fused) {
    const index = candidate.parts.findIndex((role) => tensors[role] === tensor);
    const whole = weightName(candidate, layer);
    const stored = index < 0 ? undefined : found.get(whole);
    if (stored === undefined) continue;
    const rows = candidate.parts.map(rowsOf);
    const sum = (of: readonly number[]) => of.reduce((total, count) => total + count, 0);
    return { name: whole, tensor: stored, rows: sum(rows), from: sum(rows.slice(0, index)) };
  }
  return undefined;
}

/**
 * Where some rows of a stored matrix lie.
 *
 * @throws {CheckpointError} If the rows are not whole numbers of bytes.
 */
export function rowsOfLocation(
  path: string,
  stored: TensorLocation,
  { name, from, rows }: { readonly name: string; readonly from: number; readonly rows: number },
): TensorLocation {
  const [all = 1, ...width] = stored.shape;
  const stride = stored.bytes / all;
  if (!Number.isInteger(stride)) {
    throw new CheckpointError(
      `Cannot open ${path}: the rows of tensor "${stored.name}" are not whole numbers of bytes.`,
    );
  }
  return {
    ...stored,
    name,
    shape: [rows, ...width],
    offset: stored.offset + from * stride,
    bytes: rows * stride,
  };
}
