import type { Dimension, GraphBuilder, Value } from "./onnx/graph.ts";
import type { RotaryRows } from "./rope.ts";
import { floats, type Tensor } from "./session.ts";
import type { StepModel } from "./step_model.ts";

/** Inputs of a graph that hold one of the model's rotary tables: cosines, sines. */
export function rotaryNames(rope: number): readonly [cos: Value, sin: Value] {
  return rope === 0 ? ["cos", "sin"] : [`cos.${rope}`, `sin.${rope}`];
}

/** Declares all rotary tables of a model, `[tokens, headDim / 2]`. */
export function declareRotary(
  graph: GraphBuilder,
  { ropes, headDim }: Pick<StepModel, "ropes" | "headDim">,
  tokens: Dimension,
): void {
  for (const rope of ropes.keys()) {
    for (const name of rotaryNames(rope)) graph.input(name, "float32", [tokens, headDim / 2]);
  }
}

/** What is fed to the tables that {@linkcode declareRotary} declares. */
export function rotaryFeeds(
  rotary: readonly RotaryRows[],
  shape: readonly number[],
): Record<string, Tensor> {
  return Object.fromEntries(rotary.flatMap(({ cos, sin }, rope) => {
    const [cosines, sines] = rotaryNames(rope);
    return [[cosines, floats(cos, shape)], [sines, floats(sin, shape)]];
  }));
}
