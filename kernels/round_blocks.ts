import type { GraphBuilder, Value } from "./onnx/graph.ts";

/** Columns that share a scale. */
export const BLOCK = 32;

/** Rows as the kernel rounds them: to 127 steps of the largest value of each block. */
export function roundBlocks(builder: GraphBuilder, rows: Value, columns: number): Value {
  const blocks = builder.op("Reshape", [rows, builder.integers([-1, columns / BLOCK, BLOCK])]);
  const largest = builder.op("ReduceMax", [builder.op("Abs", [blocks]), builder.integers([2])]);
  const step = builder.op("Max", [
    builder.op("Mul", [largest, builder.constant(Float32Array.of(1 / 127), [])]),
    // A block of zeros is divided by this instead of by zero.
    builder.constant(Float32Array.of(1e-30), []),
  ]);
  const steps = builder.op("Round", [builder.op("Div", [blocks, step])]);
  return builder.op("Reshape", [
    builder.op("Mul", [steps, step]),
    builder.integers([-1, columns]),
  ]);
}
