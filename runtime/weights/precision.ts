import type { Checkpoint, TensorLocation } from "../checkpoint/checkpoint.ts";
import { CheckpointError, KvjudgeError } from "../errors.ts";
import { exactBits, isExactType } from "./exact_blocks.ts";
import { type Precision, type PrecisionChoice, PRECISIONS } from "./precisions.ts";

const isFourBit = ({ type }: TensorLocation) => isExactType(type) && exactBits(type) === 4;

/**
 * Settles `auto`: `int4` for files whose matrices have 4 bits already, else `int8`.
 *
 * @throws {CheckpointError} If `int4` is asked for and the checkpoint has no 4-bit matrices.
 * @throws {KvjudgeError} If there is no such precision.
 */
export function settlePrecision(checkpoint: Checkpoint, choice: PrecisionChoice): Precision {
  if (!PRECISIONS.includes(choice)) {
    throw new KvjudgeError(
      `Cannot run in precision '${choice}': it must be one of ${PRECISIONS.join(", ")}`,
    );
  }
  const fourBit = [...checkpoint.tensors.values()].some(isFourBit);
  if (choice === "auto") return fourBit ? "int4" : "int8";
  if (choice === "int4" && !fourBit) {
    throw new CheckpointError(
      `Cannot run ${checkpoint.path} in int4: int4 takes over Q4_0, Q4_1 and Q4_K weights ` +
        "unchanged, and this checkpoint has none. Set 'precision' to int8.",
      { options: ["precision"] },
    );
  }
  return choice;
}
