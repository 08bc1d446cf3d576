import { CheckpointError } from "../errors.ts";
import type { Checkpoint, TensorLocation } from "./checkpoint.ts";
import type { FamilyTensor } from "./families/family.ts";
import { weightName } from "./tensor_names.ts";

/**
 * Where a weight of a checkpoint lies.
 *
 * @param tensor Which one, from the checkpoint's family.
 * @param layer Its layer, for one that is in layers.
 * @throws {CheckpointError} If the checkpoint has none of that name.
 */
export function tensorOf(
  { path, tensors }: Pick<Checkpoint, "path" | "tensors">,
  tensor: FamilyTensor,
  layer?: number,
): TensorLocation {
  const name = weightName(tensor, layer);
  const found = tensors.get(name);
  if (!found) throw new CheckpointError(`Cannot find the tensor ${name} in ${path}`);
  return found;
}
