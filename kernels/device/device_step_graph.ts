import type { AdapterShape } from "../adapters.ts";
import { declareEmbedding, scaledRows } from "../embedding.ts";
import { declareLayer, emitLayers, type RotatedTokens } from "../layer_nodes.ts";
import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph, type GraphBuilder, type Value } from "../onnx/graph.ts";
import { LAYER_INPUTS, WANTED_INPUTS, wantedRows } from "../step_graph.ts";
import type { StepModel } from "../step_model.ts";
import { declareWeight } from "../weight.ts";
import type { CacheElement } from "./layer_buffers.ts";
import { withoutFusedMatMul } from "./gemm.ts";
import { inHalf } from "./half.ts";
import { sizeOf } from "./masked_attention.ts";
import { unpackTokens } from "./packed_tokens.ts";
import { evenAttention, raggedAttention, type StepAttention } from "./step_attention.ts";

/** How a step graph for a device departs from the usual one. */
export interface DeviceStepGraphOptions {
  /** Whether it computes, and the cache holds, 16-bit floats. @default {false} */
  readonly half?: boolean;
  /** Products that have adapters, whose tensors become inputs. */
  readonly adapters?: AdapterShape;
}

/**
 * Builds the graph of one step where the cache lives: new entries are written into slots of the
 * cache, and all tokens attend to what is in them. KV heads may hold different numbers of tokens.
 *
 * Inputs: `tokens [T, ropes · headDim + 2]` (see {@linkcode packedTokens}), `given [1]` (how many ids
 * there are), `embeddings [E, hidden]` (rows that follow the ids), `rows [1]` (how many rows of logits
 * are wanted), `held
 * [layers, kvHeads]` (tokens of each head before the step, as floats), `counting [N]` (the floats 0, 1,
 * 2 and so on), and for each layer `keys.L`, `values.L [kvHeads, capacity, headDim]` and `slots.L
 * [kvHeads, T, 2]` (KV head and slot of each new entry).
 * Outputs: `logits [R, vocabulary]`, and for each layer `present_keys.L`, `present_values.L` (to be
 * written over the inputs), `queries.L [T, heads, headDim]`, rotated, and `attention_sums.L
 * [heads, capacity]`: attention that each slot received, summed over the new tokens, and `input_norms
 * [global layers · T]`: norms of what their attention reads, and `layer_inputs [global layers · I, hidden]`: that
 * itself, of all tokens or none, as `wanted_inputs [1]` says.
 */
export function buildDeviceStepGraph(
  model: StepModel,
  options: DeviceStepGraphOptions = {},
): Graph {
  const plain = createGraph("device_step");
  plain.input("held", "float32", [model.layers.length, model.kvHeads]);
  plain.input("counting", "float32", ["N"]);
  const tokens = sizeOf(plain, "tokens", 0);
  plain.input(WANTED_INPUTS, "int64", [1]);
  const norms: Value[] = [];
  const inputs: Value[] = [];
  return buildStep(plain, model, options, {
    attend(rotated, step, input) {
      if (step.window === undefined) {
        const exact = options.half ? cast(plain, input, "float32") : input;
        inputs.push(wantedRows(plain, exact));
        norms.push(plain.op("ReduceL2", [exact, plain.integers([1])], {
          attributes: { keepdims: { int: 0 } },
        }));
      }
      return raggedAttention(plain, rotated, { ...step, tokens });
    },
    finish() {
      if (norms.length === 0) return;
      plain.op("Concat", norms, { attributes: { axis: { int: 0 } }, names: [INPUT_NORMS] });
      plain.output(INPUT_NORMS, "float32", ["I"]);
      plain.op("Concat", inputs, { attributes: { axis: { int: 0 } }, names: [LAYER_INPUTS] });
      plain.output(LAYER_INPUTS, "float32", ["L", model.hidden]);
    },
  });
}

/** Norms of what the attention of global layers reads. */
export const INPUT_NORMS = "input_norms";

/** The graph of even steps. */
export interface EvenStepGraph {
  readonly graph: Graph;
  /** Names of each layer's rotated queries, `[1, T, heads · headDim]` of the cache's type. */
  readonly queries: readonly Value[];
}

/**
 * Builds the graph of a step of which all KV heads of a layer hold equally many tokens. It has a third
 * of the nodes of {@linkcode buildDeviceStepGraph}, and no matrix of attention weights.
 *
 * Inputs: as there, but for each layer `keys.L` and `values.L` are `[1, kvHeads, capacity, headDim]`,
 * and `last_index.L [1]` (index of the layer's last token after the step) and `total.L [1]` (its tokens
 * after the step) take the place of `held`, `counting` and `slots.L`. There are no attention sums.
 */
export function buildEvenStepGraph(
  model: StepModel,
  options: DeviceStepGraphOptions = {},
): EvenStepGraph {
  const plain = createGraph("even_step");
  const queries: Value[] = [];
  const graph = buildStep(plain, model, options, {
    attend(rotated, step) {
      queries.push(rotated.queries);
      return evenAttention(plain, rotated, step);
    },
  });
  return { graph, queries };
}

function buildStep(
  plain: GraphBuilder,
  model: StepModel,
  { half = false, adapters }: DeviceStepGraphOptions,
  { attend, finish = () => {} }: {
    /** Mixed values of a layer. */
    readonly attend: (rotated: RotatedTokens, step: StepAttention, input: Value) => Value;
    /** Declares what else the graph gives, once all layers are there. */
    readonly finish?: () => void;
  },
): Graph {
  const graph = half ? inHalf(plain) : plain;
  const element: CacheElement = half ? "float16" : "float32";
  const { hidden, layers } = model;
  graph.input("embeddings", "float32", ["E", hidden]);
  const { ids, rows: wanted } = unpackTokens(plain, model, half);
  const embedding = declareEmbedding(graph, model.embedding);
  const output = model.output ? declareWeight(graph, model.output) : embedding.product;
  const declared = layers.map((_, index) => declareLayer(graph, model, index, adapters));
  const rows = graph.op("Concat", [
    scaledRows(graph, model, embedding.lookUp(graph, ids)),
    "embeddings",
  ], {
    attributes: { axis: { int: 0 } },
  });
  const normalise = emitLayers(graph, model, declared, {
    rows,
    arithmetic: "float",
    attend: (rotated, layer, input) =>
      attend(rotated, {
        ...{ shape: model, layer, element, window: model.layerKinds[layer]?.window },
      }, input),
  });
  finish();
  const last = graph.op("Gather", [normalise(model.finalNorm), wanted]);
  const logits = output(graph, last, "float");
  if (half) cast(plain, logits, "float32", ["logits"]);
  else plain.op("Identity", [logits], { names: ["logits"] });
  plain.output("logits", "float32", ["R", model.vocabulary]);
  return withoutFusedMatMul(graph.build());
}
