import { declareEmbedding, scaledRows } from "../embedding.ts";
import { declareLayer, emitLayers } from "../layer_nodes.ts";
import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph, type GraphBuilder, type Value } from "../onnx/graph.ts";
import { rotaryNames } from "../rotary_inputs.ts";
import type { StepModel } from "../step_model.ts";
import { declareWeight } from "../weight.ts";
import { DRAW_COLUMNS, type DrawnToken, drawToken } from "./draw_nodes.ts";
import { withoutFusedMatMul } from "./gemm.ts";
import { inHalf } from "./half.ts";
import type { CacheElement } from "./layer_buffers.ts";
import { layerPorts } from "./layer_ports.ts";
import { inBlocks, likeliest, LOGIT_BLOCK, rowsOfStep } from "./likeliest_token.ts";
import { MOST_COMPARED } from "./likelier_tokens.ts";
import { repeatedTables } from "./rotary_room.ts";
import { attendInSlots, type CountedTokens } from "./step_attention.ts";
import { attendInWindow, countedKinds, windowPlace } from "./window_attention.ts";

/** Steps that a plan has rows for. */
export const MOST_AHEAD = 16;

/** Columns of a plan behind the rotary tables and the counts of each kind of layers. */
export const PLAN_COLUMNS = ["id", "given", "slot", "next"] as const;

/** Columns of what a step tells: the id that it read, the one that follows, and whether that is certain. */
export const TOLD_COLUMNS = ["read", "found", "certain"] as const;

/** The largest vocabulary of which tokens are drawn: its blocks are compared with one another. */
export const MOST_DRAWN = LOGIT_BLOCK * MOST_COMPARED;

/**
 * Columns of a plan: rotary tables, tokens of each of {@linkcode countedKinds}, {@linkcode PLAN_COLUMNS}, and how
 * each step draws where it does.
 */
export function planWidth(
  { headDim, ropes, layerKinds }: Pick<StepModel, "headDim" | "ropes" | "layerKinds">,
  draws: boolean,
): number {
  return headDim * ropes.length + countedKinds({ layerKinds }).length + PLAN_COLUMNS.length +
    (draws ? DRAW_COLUMNS.length : 0);
}

/** How a graph of steps that feed one another is built. */
export interface AheadGraphOptions {
  /** Whether it computes, and the cache holds, 16-bit floats. */
  readonly half: boolean;
  /** Whether tokens are drawn; otherwise each is the likeliest, the lowest id of equals. */
  readonly draws: boolean;
}

/**
 * Builds the graph of a decoding step that feeds the next one: captured, it runs several times for one
 * turn of the processor.
 *
 * Inputs: `plan`, a row for each step: rotary tables, tokens that the layers of each kind hold before it, the id that
 * it reads, whether that is given (1) or the one that the step before found, the row of `all_logits` that it
 * writes, which row of the plan is next, and where tokens are drawn {@linkcode DRAW_COLUMNS}. `turn [1]`:
 * which one is now; `found [1]`: the id that was found last; `all_logits [steps · rows, 256]`, see {@linkcode
 * rowsOfStep}; `told [steps, 3]`, see {@linkcode TOLD_COLUMNS}; where tokens are drawn `seen [vocabulary in
 * blocks]`, 1 at tokens that were seen; `rotary_room`, see {@linkcode repeatedTables}; and for each layer
 * `keys.L` and `values.L`.
 * Outputs, all to be written over the inputs: `next_turn`, `next_found`, `written_logits`, `written_told`,
 * `next_seen`, and `present_keys.L`, `present_values.L`.
 */
export function buildAheadGraph(model: StepModel, { half, draws }: AheadGraphOptions): Graph {
  const plain = createGraph("ahead_step");
  const graph = half ? inHalf(plain) : plain;
  const element: CacheElement = half ? "float16" : "float32";
  const { headDim, ropes, layers, vocabulary } = model;
  const tables = [...ropes.keys()].flatMap((rope) => [...rotaryNames(rope)]);
  const kinds = countedKinds(model);
  const counts = kinds.map((_, kind) => `count.${kind}`);
  const columns = [...counts, ...PLAN_COLUMNS, ...draws ? ["draw"] : []];
  plain.input("plan", "float32", [MOST_AHEAD, planWidth(model, draws)]);
  plain.input("turn", "int32", [1]);
  plain.input("found", "int32", [1]);
  const rows = rowsOfStep(vocabulary);
  plain.input("all_logits", "float32", [MOST_AHEAD * rows, LOGIT_BLOCK]);
  const row = plain.op("Gather", ["plan", "turn"]);
  const sizes = [
    ...[...tables.map(() => headDim / 2), ...counts.map(() => 1), ...PLAN_COLUMNS.map(() => 1)],
    ...draws ? [DRAW_COLUMNS.length] : [],
  ];
  plain.ops("Split", [row, plain.integers(sizes)], sizes.length, {
    names: [...half ? tables.map((name) => `${name}_32`) : tables, ...columns],
    attributes: { axis: { int: 1 } },
  });
  for (const name of half ? tables : []) cast(plain, `${name}_32`, "float16", [name]);
  const number = (value: number) => plain.constant(Float32Array.of(value), [1]);
  const single = (name: string) => plain.op("Reshape", [name, plain.integers([1])]);
  const [id, given, slot, following] = PLAN_COLUMNS.map(single);
  const read = plain.op("Where", [
    plain.op("Greater", [given ?? "", number(0.5)]),
    id ?? "",
    cast(plain, "found", "float32"),
  ]);
  const counted = counts.map(single).map((count): CountedTokens => ({
    lastIndex: cast(plain, count, "int32"),
    total: cast(plain, plain.op("Add", [count, number(1)]), "int32"),
  }));
  const { kvHeads } = model;
  const places = kinds.map((window, kind) =>
    window === undefined
      ? undefined
      : windowPlace(plain, counted[kind]?.total ?? "", { window, kvHeads })
  );
  const tableRows = repeatedTables(plain, model, element);
  const embedding = declareEmbedding(graph, model.embedding);
  const output = model.output ? declareWeight(graph, model.output) : embedding.product;
  const declared = layers.map((_, index) => declareLayer(graph, model, index));
  const normalise = emitLayers(graph, model, declared, {
    rows: scaledRows(graph, model, embedding.lookUp(graph, cast(plain, read, "int32"))),
    arithmetic: "float",
    attendUnrotated: ({ rope, ...tokens }, layer) => {
      const turned = rope === undefined ? [] : tableRows[rope] ?? [];
      const window = model.layerKinds[layer]?.window;
      const kind = kinds.indexOf(window);
      const step = { shape: model, layer, element, window };
      const place = places[kind];
      return place
        ? attendInWindow(plain, tokens, step, place, turned)
        : attendInSlots(plain, tokens, step, counted[kind] ?? { lastIndex: "", total: "" }, turned);
    },
  });
  const product = output(graph, normalise(model.finalNorm), "float");
  const logits = half ? cast(plain, product, "float32") : product;
  const blocks = inBlocks(plain, logits, vocabulary);
  const first = plain.op("Mul", [slot ?? "", number(rows)]);
  const counting = Float32Array.from({ length: rows }, (_, row) => row);
  const place = plain.op("Add", [first, plain.constant(counting, [rows])]);
  const indices = (value: Value, count: number) =>
    plain.op("Reshape", [cast(plain, value, "int64"), plain.integers([count, 1])]);
  plain.op("ScatterND", ["all_logits", indices(place, rows), blocks], {
    names: ["written_logits"],
  });
  plain.output("written_logits", "float32", [MOST_AHEAD * rows, LOGIT_BLOCK]);
  const asCell = (value: Value) => plain.op("Reshape", [value, plain.integers([1, 1])]);
  const { id: next, certain } = draws
    ? drawn(plain, blocks, indices(read, 1), rows * LOGIT_BLOCK)
    : likeliest(plain, blocks, vocabulary);
  plain.input("told", "float32", [MOST_AHEAD, TOLD_COLUMNS.length]);
  const said = plain.op("Concat", [read, next, certain].map(asCell), {
    attributes: { axis: { int: 1 } },
  });
  plain.op("ScatterND", ["told", indices(slot ?? "", 1), said], { names: ["written_told"] });
  plain.output("written_told", "float32", [MOST_AHEAD, TOLD_COLUMNS.length]);
  cast(plain, plain.op("Reshape", [next, plain.integers([1])]), "int32", ["next_found"]);
  plain.output("next_found", "int32", [1]);
  // Out of the row that was read: what is written over an input must follow all that reads it.
  cast(plain, following ?? "", "int32", ["next_turn"]);
  plain.output("next_turn", "int32", [1]);
  return withoutFusedMatMul(graph.build());
}

/** Names of a layer's tensors, inputs and outputs that are written over them. */
export function aheadPorts(layer: number) {
  const { keys, values, presentKeys, presentValues } = layerPorts(layer);
  return { keys, values, presentKeys, presentValues };
}

/** A token that is drawn, behind the one that was read: that one counts as seen. */
function drawn(graph: GraphBuilder, blocks: Value, read: Value, size: number): DrawnToken {
  graph.input("seen", "float32", [size]);
  const one = graph.constant(Float32Array.of(1), [1]);
  graph.op("ScatterND", ["seen", read, one], { names: ["next_seen"] });
  graph.output("next_seen", "float32", [size]);
  const asRow = (value: Value) => graph.op("Reshape", [value, graph.integers([1, size])]);
  // Apart from the other columns: a kernel binds ten tensors, not more.
  graph.ops("Split", ["draw", graph.integers(DRAW_COLUMNS.map(() => 1))], DRAW_COLUMNS.length, {
    attributes: { axis: { int: 1 } },
    names: DRAW_COLUMNS,
  });
  const [uniform, temperature, limit, whole, top_p, least, plain, penalty] = DRAW_COLUMNS;
  return drawToken(graph, {
    ...{ logits: asRow(blocks), size, seen: asRow("next_seen") },
    settings: { uniform, temperature, limit, whole, top_p, least, plain, penalty },
  });
}
