import type { AdapterShape } from "../adapters.ts";
import { declareEmbedding } from "../embedding.ts";
import { declareLayer, emitLayers, type RotatedTokens } from "../layer_nodes.ts";
import { createGraph, type ElementType, type Graph, type Value } from "../onnx/graph.ts";
import type { StepModel } from "../step_model.ts";
import { declareWeight } from "../weight.ts";
import { withoutFusedMatMul } from "./gemm.ts";
import { inHalf } from "./half.ts";
import { hiddenSlots, maskedAttention, sizeOf } from "./masked_attention.ts";

/** How a step graph for a device departs from the usual one. */
export interface DeviceStepGraphOptions {
  /** Whether it computes, and the cache holds, 16-bit floats. @default {false} */
  readonly half?: boolean;
  /** Products that have adapters, whose tensors become inputs. */
  readonly adapters?: AdapterShape;
}

/** Names of a layer's tensors. */
export function layerPorts(layer: number) {
  return {
    keys: `keys.${layer}`,
    values: `values.${layer}`,
    slots: `slots.${layer}`,
    presentKeys: `present_keys.${layer}`,
    presentValues: `present_values.${layer}`,
    queries: `queries.${layer}`,
    attentionSums: `attention_sums.${layer}`,
  };
}

/**
 * Builds the graph of one step where the cache lives: new entries are written into slots of the
 * cache, and all tokens attend to what is in them.
 *
 * Inputs: `ids [S]`, `embeddings [E, hidden]` (rows that follow the ids), `cos` and `sin
 * [T, headDim / 2]`, `rows [R]`, `held [layers, kvHeads]` (tokens of each head before the step, as
 * floats), `counting [N]` (the floats 0, 1, 2 and so on), and for each layer `keys.L`, `values.L
 * [kvHeads, capacity, headDim]` and `slots.L [kvHeads, T, 2]` (KV head and slot of each new entry).
 * Outputs: `logits [R, vocabulary]`, and for each layer `present_keys.L`, `present_values.L` (to be
 * written over the inputs), `queries.L [T, heads, headDim]`, rotated, and `attention_sums.L
 * [heads, capacity]`: attention that each slot received, summed over the new tokens.
 */
export function buildDeviceStepGraph(
  model: StepModel,
  { half = false, adapters }: DeviceStepGraphOptions = {},
): Graph {
  const plain = createGraph("device_step");
  const graph = half ? inHalf(plain) : plain;
  const real: ElementType = half ? "float16" : "float32";
  const { headDim, heads, kvHeads, hidden, layers } = model;
  /** A value of 32-bit floats as the layers take it. */
  const asReal = (value: Value): Value =>
    half ? plain.op("Cast", [value], { attributes: { to: { int: 10 } } }) : value;
  const asFloat = (value: Value, names: readonly Value[] = []): Value =>
    plain.op(half ? "Cast" : "Identity", [value], {
      names,
      attributes: half ? { to: { int: 1 } } : {},
    });
  graph.input("ids", "int64", ["S"]);
  graph.input("embeddings", "float32", ["E", hidden]);
  graph.input("cos", "float32", ["T", headDim / 2]);
  graph.input("sin", "float32", ["T", headDim / 2]);
  graph.input("rows", "int64", ["R"]);
  plain.input("held", "float32", [layers.length, kvHeads]);
  plain.input("counting", "float32", ["N"]);
  const tokens = sizeOf(plain, "cos", 0);
  const embedding = declareEmbedding(graph, model.embedding);
  const output = model.output ? declareWeight(graph, model.output) : embedding.product;
  const declared = layers.map((_, index) => declareLayer(graph, model, index, adapters));
  const attend = (rotated: RotatedTokens, layer: number): Value => {
    const ports = layerPorts(layer);
    plain.input(ports.keys, real, [kvHeads, `C${layer}`, headDim]);
    plain.input(ports.values, real, [kvHeads, `C${layer}`, headDim]);
    plain.input(ports.slots, "int64", [kvHeads, "T", 2]);
    const written = (past: Value, entries: Value, name: Value): Value => {
      const byHead = graph.op("Transpose", [
        graph.op("Reshape", [entries, graph.integers([-1, kvHeads, headDim])]),
      ], { attributes: { perm: { ints: [1, 0, 2] } } });
      plain.output(name, real, [kvHeads, `C${layer}`, headDim]);
      return graph.op("ScatterND", [past, ports.slots, byHead], { names: [name] });
    };
    const keys = written(ports.keys, rotated.keys, ports.presentKeys);
    const values = written(ports.values, rotated.values, ports.presentValues);
    const held = plain.op("Gather", ["held", plain.constant(BigInt64Array.of(BigInt(layer)), [])]);
    const hidden = asReal(
      hiddenSlots(plain, kvHeads, { held, counting: "counting", keys, tokens }),
    );
    const { mixed, weights } = maskedAttention(graph, model, rotated.queries, { keys, values }, {
      hidden,
      tokens,
      element: real,
    });
    const sums = plain.op("ReduceSum", [asFloat(weights), plain.integers([2])], {
      attributes: { keepdims: { int: 0 } },
    });
    plain.op("Reshape", [sums, plain.integers([heads, -1])], { names: [ports.attentionSums] });
    plain.op("Reshape", [asFloat(rotated.queries), plain.integers([-1, heads, headDim])], {
      names: [ports.queries],
    });
    plain.output(ports.attentionSums, "float32", [heads, `C${layer}`]);
    plain.output(ports.queries, "float32", ["T", heads, headDim]);
    return mixed;
  };
  const rows = graph.op("Concat", [embedding.lookUp(graph, "ids"), "embeddings"], {
    attributes: { axis: { int: 0 } },
  });
  const normalise = emitLayers(graph, model, declared, { rows, arithmetic: "float", attend });
  const last = graph.op("Gather", [normalise(model.finalNorm), "rows"]);
  asFloat(output(graph, last, "float"), ["logits"]);
  plain.output("logits", "float32", ["R", model.vocabulary]);
  return withoutFusedMatMul(graph.build());
}
