import { TrainingError } from "../errors.ts";
import type { NamedTensors } from "./adam.ts";

/**
 * Shortens all gradients together so that their common Euclidean norm is at most `maximum`; they are
 * changed in place, and not at all where the norm is smaller.
 *
 * @returns The norm before. NaN or infinite if a gradient is; nothing is changed then.
 * @throws {TrainingError} If `maximum` is not above 0.
 *
 * @example
 * ```ts
 * import { clipByNorm } from "./gradients.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const gradients = { a: Float32Array.of(3), b: Float32Array.of(4) };
 * assertEquals(clipByNorm(gradients, 2.5), 5);
 * assertEquals(gradients, { a: Float32Array.of(1.5), b: Float32Array.of(2) });
 * ```
 */
export function clipByNorm(gradients: NamedTensors, maximum: number): number {
  if (!(maximum > 0)) {
    throw new TrainingError(`Cannot clip gradients: the norm must be above 0, got ${maximum}`);
  }
  let squares = 0;
  for (const gradient of Object.values(gradients)) {
    for (const value of gradient) squares += value * value;
  }
  const norm = Math.sqrt(squares);
  if (Number.isFinite(norm) && norm > maximum) scale(gradients, maximum / norm);
  return norm;
}

/**
 * Adds gradients to a sum, times `factor` (1 / number of summands makes a mean). Arrays that the sum
 * lacks are added as copies.
 *
 * @throws {TrainingError} If two arrays of one name differ in length.
 *
 * @example
 * ```ts
 * import { addInto } from "./gradients.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const sum: Record<string, Float32Array> = {};
 * addInto(sum, { a: Float32Array.of(1) }, 0.5);
 * addInto(sum, { a: Float32Array.of(3) }, 0.5);
 * assertEquals(sum, { a: Float32Array.of(2) });
 * ```
 */
export function addInto(
  sum: Record<string, Float32Array>,
  gradients: NamedTensors,
  factor = 1,
): void {
  for (const [name, gradient] of Object.entries(gradients)) {
    const into = sum[name] ??= new Float32Array(gradient.length);
    if (into.length !== gradient.length) {
      throw new TrainingError(
        `Cannot add gradients: "${name}" has ${into.length} numbers in the sum and ` +
          `${gradient.length} in the summand`,
      );
    }
    for (let i = 0; i < into.length; i++) into[i] = (into[i] ?? 0) + factor * (gradient[i] ?? 0);
  }
}

function scale(gradients: NamedTensors, factor: number): void {
  for (const gradient of Object.values(gradients)) {
    for (let i = 0; i < gradient.length; i++) gradient[i] = (gradient[i] ?? 0) * factor;
  }
}
