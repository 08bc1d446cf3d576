import { declareEmbedding } from "../embedding.ts";
import { declareLayer, emitLayers } from "../layer_nodes.ts";
import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph } from "../onnx/graph.ts";
import type { StepModel } from "../step_model.ts";
import { declareWeight } from "../weight.ts";
import { withoutFusedMatMul } from "./gemm.ts";
import { inHalf } from "./half.ts";
import type { CacheElement } from "./layer_buffers.ts";
import { decodeAttention } from "./step_attention.ts";

/**
 * Builds the graph of a step of one token whose layers hold equally many tokens in all KV heads. All
 * that it reads is on the device and every size is known but those of the cache, so that the whole of it
 * can be captured.
 *
 * Inputs: `token [1, headDim + 1]` (cosines, sines, the token's id), and for each layer `keys.L`,
 * `values.L [1, kvHeads, capacity, headDim]`, `last_index.L [1]` and `total.L [1]`.
 * Outputs: `logits [1, vocabulary]`, and `present_keys.L`, `present_values.L`, to be written over the
 * inputs.
 */
export function buildDecodeGraph(model: StepModel, half: boolean): Graph {
  const plain = createGraph("decode_step");
  const graph = half ? inHalf(plain) : plain;
  const element: CacheElement = half ? "float16" : "float32";
  const { headDim, layers } = model;
  plain.input("token", "float32", [1, headDim + 1]);
  const exact = half ? ["cos_32", "sin_32", "id"] : ["cos", "sin", "id"];
  plain.ops("Split", ["token", plain.integers([headDim / 2, headDim / 2, 1])], 3, {
    names: exact,
    attributes: { axis: { int: 1 } },
  });
  for (const name of half ? ["cos", "sin"] : []) cast(plain, `${name}_32`, "float16", [name]);
  // Numbers below 2²⁴ are exact as 32-bit floats: no vocabulary comes near.
  const ids = plain.op("Reshape", [cast(plain, "id", "int32"), plain.integers([1])]);
  const embedding = declareEmbedding(graph, model.embedding);
  const output = model.output ? declareWeight(graph, model.output) : embedding.product;
  const declared = layers.map((_, index) => declareLayer(graph, model, index));
  const normalise = emitLayers(graph, model, declared, {
    rows: embedding.lookUp(graph, ids),
    arithmetic: "float",
    attend: (rotated, layer) => decodeAttention(plain, rotated, { shape: model, layer, element }),
  });
  const logits = output(graph, normalise(model.finalNorm), "float");
  if (half) cast(plain, logits, "float32", ["logits"]);
  else plain.op("Identity", [logits], { names: ["logits"] });
  plain.output("logits", "float32", [1, model.vocabulary]);
  return withoutFusedMatMul(graph.build());
}
