import { declareEmbedding, scaledRows } from "../embedding.ts";
import { declareLayer, emitLayers } from "../layer_nodes.ts";
import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph } from "../onnx/graph.ts";
import type { StepModel } from "../step_model.ts";
import { declareWeight } from "../weight.ts";
import { withoutFusedMatMul } from "./gemm.ts";
import { inHalf } from "./half.ts";
import type { CacheElement } from "./layer_buffers.ts";
import { unpackToken } from "./packed_tokens.ts";
import { repeatedTables } from "./rotary_room.ts";
import { attendInSlots, countedTokens } from "./step_attention.ts";
import { layerPorts } from "./layer_ports.ts";
import { attendInWindow, type WindowPlace, windowPlace } from "./window_attention.ts";

/**
 * Builds the graph of a step of one token whose layers hold equally many tokens in all KV heads. All
 * that it reads is on the device and every size is known but those of the cache, so that the whole of it
 * can be captured.
 *
 * Inputs: `token [1, ropes · headDim + 1]` (see {@linkcode packedToken}), `rotary_room [slots, headDim / 2]`
 * (see {@linkcode repeatedTables}), and for each layer `keys.L`, `values.L [1, kvHeads, capacity, headDim]`, `last_index.L [1]` and `total.L [1]`,
 * of layers that slide by one window only the first one's total.
 * Outputs: `logits [1, vocabulary]`, and `present_keys.L`, `present_values.L`, to be written over the
 * inputs; of layers that slide what they see, see {@linkcode attendInWindow}.
 */
export function buildDecodeGraph(model: StepModel, half: boolean): Graph {
  const plain = createGraph("decode_step");
  const graph = half ? inHalf(plain) : plain;
  const element: CacheElement = half ? "float16" : "float32";
  const { layers } = model;
  const ids = unpackToken(plain, model, half);
  const embedding = declareEmbedding(graph, model.embedding);
  const output = model.output ? declareWeight(graph, model.output) : embedding.product;
  const tables = repeatedTables(plain, model, element);
  const places = new Map<number, WindowPlace>();
  const declared = layers.map((_, index) => declareLayer(graph, model, index));
  const normalise = emitLayers(graph, model, declared, {
    rows: scaledRows(graph, model, embedding.lookUp(graph, ids)),
    arithmetic: "float",
    attendUnrotated: ({ rope, ...tokens }, layer) => {
      const turned = rope === undefined ? [] : tables[rope] ?? [];
      const window = model.layerKinds[layer]?.window;
      const step = { shape: model, layer, element, window };
      if (window === undefined) {
        return attendInSlots(plain, tokens, step, countedTokens(plain, layer), turned);
      }
      const { total } = layerPorts(layer);
      const place = places.get(window) ??
        windowPlace(plain, plain.input(total, "int32", [1]), { window, kvHeads: model.kvHeads });
      places.set(window, place);
      return attendInWindow(plain, tokens, step, place, turned);
    },
  });
  const logits = output(graph, normalise(model.finalNorm), "float");
  if (half) cast(plain, logits, "float32", ["logits"]);
  else plain.op("Identity", [logits], { names: ["logits"] });
  plain.output("logits", "float32", [1, model.vocabulary]);
  return withoutFusedMatMul(graph.build());
}
