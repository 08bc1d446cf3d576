import type { WeightCopies } from "../../kernels/step_graph.ts";
import type { StepModel } from "../../kernels/step_model.ts";
import type { Weight } from "../../kernels/weight.ts";
import { KvjudgeError } from "../errors.ts";

export type { WeightCopies };

/**
 * How often the weights may lie in memory.
 *
 * @example
 * ```ts
 * import { WEIGHT_COPIES } from "./weight_copies.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(WEIGHT_COPIES[0], "auto");
 * ```
 */
export const WEIGHT_COPIES = ["auto", "one", "two"] as const;

/**
 * - `one`: once, packed for answers. Prompts are multiplied in bytes twice, the second time with what
 *   rounding left over: as exact as in floats, but with 4-bit weights half as slow again.
 * - `two`: once more in the layout that prompts are read in, which is fastest.
 * - `auto`: `one` for models whose weights take more than 512 MB.
 */
export type WeightCopiesChoice = (typeof WEIGHT_COPIES)[number];

/** Weights up to this size, in bytes, may lie in memory twice. */
const SMALL = 2 ** 29;

/**
 * Refuses what is no choice.
 *
 * @throws {KvjudgeError} If there is no such choice.
 */
export function checkCopies(choice: WeightCopiesChoice): void {
  if (WEIGHT_COPIES.includes(choice)) return;
  throw new KvjudgeError(
    `Cannot hold weights in '${choice}' copies: it must be one of ${WEIGHT_COPIES.join(", ")}`,
    { options: ["weightCopies"] },
  );
}

/** Settles `auto`. */
export function settleCopies(model: StepModel, choice: WeightCopiesChoice): WeightCopies {
  if (choice !== "auto") return choice;
  return weightBytes(model) > SMALL ? "one" : "two";
}

/** Bytes of the matrices that every token is multiplied with. */
function weightBytes({ embedding, output = embedding, layers }: StepModel): number {
  const all = [
    output,
    ...layers.flatMap(({ qkv, attentionOutput, gate, up, down }) =>
      [...qkv, attentionOutput, gate, up, down].map(({ weight }) => weight)
    ),
  ];
  return all.reduce((sum, weight) => sum + bytesOf(weight), 0);
}

function bytesOf(weight: Weight): number {
  if (weight.kind === "float") return weight.place.length;
  const { values, scales, zeroPoints, offsets } = weight;
  return [values, scales, zeroPoints, offsets].reduce((sum, part) => sum + (part?.length ?? 0), 0);
}
