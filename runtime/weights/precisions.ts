/**
 * How weights are held while the model runs.
 *
 * - `fp32`: as stored, widened to 32 bits.
 * - `int8`: every matrix in 8 bits, a scale for each 32 columns. Q8_0, Q5_0, Q5_1, Q5_K and IQ4 are
 *   kept unchanged.
 * - `int4`: the 4-bit blocks of Q4_0, Q4_1 and Q4_K, kept unchanged; the rest as `int8`.
 */
export type Precision = "fp32" | "int8" | "int4";

/**
 * The precisions a user can ask for.
 *
 * @example
 * ```ts
 * import { PRECISIONS } from "./precisions.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(PRECISIONS[0], "auto");
 * ```
 */
export const PRECISIONS = ["auto", "fp32", "int8", "int4"] as const;

/** A precision, or `auto`: the fastest that adds no rounding worth speaking of. */
export type PrecisionChoice = (typeof PRECISIONS)[number];
