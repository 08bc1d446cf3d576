import { type RotaryRows, rotaryRows } from "../../kernels/rope.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";
import { rotaryFrequencies } from "./frequencies.ts";

/** Which tokens a step rotates. */
export interface RotatedRun {
  /** Tokens of the whole sequence, as {@linkcode rotaryFrequencies} wants it. */
  readonly sequence: number;
  /** Position of the first one. */
  readonly position: number;
  readonly tokens: number;
}

/**
 * Cosines and sines that a step rotates queries and keys by, one table for each of the model's `ropes`.
 *
 * @example
 * ```ts
 * import { rotaryTables } from "./rotary_tables.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const ropes = [{ theta: 10_000, scaling: { kind: "none" } }] as const;
 * const [table] = rotaryTables({ headDim: 4, ropes }, { sequence: 9, position: 0, tokens: 1 });
 * assertEquals(table?.cos, Float32Array.of(1, 1));
 * ```
 */
export function rotaryTables(
  config: Pick<ModelConfig, "headDim" | "ropes">,
  { sequence, position, tokens }: RotatedRun,
): readonly RotaryRows[] {
  return config.ropes.map(({ scaling }, rope) => {
    const { cos, sin } = rotaryRows(rotaryFrequencies(config, sequence, rope), position, tokens);
    if (scaling.kind !== "longrope") return { cos, sin };
    const scaled = (values: Float32Array) => values.map((value) => value * scaling.attentionFactor);
    return { cos: scaled(cos), sin: scaled(sin) };
  });
}
