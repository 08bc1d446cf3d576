import { adapterName, type Projection, projectionSize } from "./adapters.ts";
import type { Dimension, GraphBuilder, Value } from "./onnx/graph.ts";
import type { StepModel } from "./step_model.ts";

/** What an adapter adds to a product, `[T, in] → [T, out]`. */
export type AdapterProduct = (builder: GraphBuilder, rows: Value) => Value;

/** Declares the two tensors of an adapter as inputs of a graph. */
export function declareAdapter(
  graph: GraphBuilder,
  model: StepModel,
  { layer, projection, rank }: { layer: number; projection: Projection; rank: Dimension },
): AdapterProduct {
  const { inputs, outputs } = projectionSize(model, projection);
  const a = graph.input(adapterName(layer, projection, "a"), "float32", [inputs, rank]);
  const b = graph.input(adapterName(layer, projection, "b"), "float32", [rank, outputs]);
  return (builder, rows) => builder.op("MatMul", [builder.op("MatMul", [rows, a]), b]);
}
