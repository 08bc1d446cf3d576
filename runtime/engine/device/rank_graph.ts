import { joinedInGroups } from "../../../kernels/device/joined_in_groups.ts";
import {
  createGraph,
  type Graph,
  type GraphBuilder,
  type Value,
} from "../../../kernels/onnx/graph.ts";

/** Columns of what a ranking is told about each KV head. */
export const ROW_COLUMNS = ["sinks", "from", "length", "first"] as const;

/** What a ranking graph is built for. Lengths and counts are inputs: it serves all of them. */
export interface RankGraphSpec {
  /** Tensors of scores. */
  readonly tensors: number;
  /** Whether all heads hold equally many tokens. */
  readonly even: boolean;
  /** Whether the best of all heads are wanted, otherwise those of each. */
  readonly shared: boolean;
  /** Whether all but the first are chosen by other scores. */
  readonly second: boolean;
  /** Whether some tokens are named that outrank all others. */
  readonly pinned: boolean;
  /** Whether scores may be too low. */
  readonly threshold: boolean;
}

/** What no token that a head holds scores less than: what it does not hold does. */
const LOWEST = -3.4028234663852886e38;

/**
 * Builds the graph that ranks tokens of several KV heads by scores, whatever these were made of.
 *
 * Inputs: `scores.I [heads, length]` and, with a second stage, `rescored.I`; where lengths differ `pads.I
 * [4]`, which bring them to the longest; `rows [heads of all, 4]`, see {@linkcode ROW_COLUMNS}: leading
 * tokens that outrank others, the first of the last ones that do, tokens, and how many are chosen by the
 * first scores; `counting [N]`; `width [1]`, the most tokens; `count [1]`; of all heads `safe [1]` and `groups [1]`, into
 * which the heads are divided; of each `first [1]`, the most in their column; `pinned [P, 2]`, head and
 * token; `threshold [1]`.
 * Outputs: `best`, tokens in order, `[groups, count]` counted through all heads of a group, or `[heads, count]`;
 * with a threshold `passing`, 1 where they score enough.
 */
export function buildRankGraph(spec: RankGraphSpec): Graph {
  const graph = createGraph("rank_scores");
  graph.input("rows", "float32", ["R", ROW_COLUMNS.length]);
  graph.input("counting", "float32", ["N"]);
  graph.input("width", "int64", [1]);
  graph.input("count", "int64", [1]);
  if (spec.pinned) graph.input("pinned", "int64", ["P", 2]);
  if (spec.threshold) graph.input("threshold", "float32", [1]);
  if (!spec.even) {
    for (let tensor = 0; tensor < spec.tensors; tensor++) {
      graph.input(`pads.${tensor}`, "int64", [4]);
    }
  }
  const [sinks = "", from = "", length = "", first = ""] = graph.ops(
    "Split",
    ["rows", graph.integers(ROW_COLUMNS.map(() => 1))],
    ROW_COLUMNS.length,
    { attributes: { axis: { int: 1 } } },
  );
  const number = (value: number) => graph.constant(Float32Array.of(value), []);
  const where = (condition: Value, yes: Value, no: Value) =>
    graph.op("Where", [condition, yes, no]);
  const slots = leading(graph, "width");
  const highest = number(Infinity);
  const held = (values: Value, otherwise: Value) =>
    spec.even ? values : where(graph.op("Less", [slots, length]), values, otherwise);
  const filled = (values: Value, shape: Value) => graph.op("Expand", [values, shape]);
  const shapeOf = (value: Value) => graph.op("Shape", [value]);
  const one = graph.constant(Float32Array.of(1), [1, 1]);
  const top = graph.constant(Float32Array.of(Infinity), [1, 1]);
  /** Scores of all heads, those that outrank all others raised. */
  const raised = (name: "scores" | "rescored"): Value => {
    const all = stacked(graph, spec, name);
    const scores = spec.even ? all : graph.op("Max", [all, number(LOWEST)]);
    const last = where(graph.op("GreaterOrEqual", [slots, from]), highest, scores);
    const certain = where(graph.op("Less", [slots, sinks]), highest, last);
    const inside = held(certain, number(-Infinity));
    if (!spec.pinned) return inside;
    const count = graph.op("Shape", ["pinned"], {
      attributes: { start: { int: 0 }, end: { int: 1 } },
    });
    const updates = filled(graph.constant(Float32Array.of(Infinity), [1]), count);
    return graph.op("ScatterND", [inside, "pinned", updates]);
  };
  const topK = (values: Value, count: Value, names: readonly Value[] = []): Value => {
    const [, indices = ""] = graph.ops("TopK", [values, count], 2, {
      attributes: { axis: { int: -1 }, largest: { int: 1 }, sorted: { int: 1 } },
      names,
    });
    return indices;
  };
  const scattered = (into: Value, indices: Value, updates: Value) =>
    graph.op("ScatterElements", [into, indices, updates], { attributes: { axis: { int: 1 } } });
  const gathered = (values: Value, indices: Value, names: readonly Value[] = []) =>
    graph.op("GatherElements", [values, indices], { attributes: { axis: { int: 1 } }, names });
  const scores = raised("scores");
  let ranked = scores;
  if (spec.shared) {
    graph.input("safe", "int64", [1]);
    graph.input("groups", "int64", [1]);
    const safe = topK(scores, "safe");
    // A head that holds fewer than are safe has marked what it does not hold.
    ranked = held(scattered(scores, safe, filled(top, shapeOf(safe))), number(-Infinity));
  } else if (spec.second) {
    graph.input("first", "int64", [1]);
    const others = raised("rescored");
    const best = topK(scores, "first");
    const chosen = graph.op("Less", [leading(graph, "first"), first]);
    ranked = scattered(others, best, where(chosen, highest, gathered(others, best)));
  }
  const inGroups = (values: Value) =>
    spec.shared
      ? graph.op("Reshape", [
        values,
        graph.op("Concat", ["groups", graph.integers([-1])], { attributes: { axis: { int: 0 } } }),
      ])
      : values;
  const best = topK(inGroups(ranked), "count", ["best_values", "best"]);
  graph.output(best, "int64", ["G", "K"]);
  if (spec.threshold) {
    const enough = where(
      graph.op("GreaterOrEqual", [scores, "threshold"]),
      number(1),
      number(0),
    );
    // A head that nothing is left of keeps its best token.
    const firsts = topK(scores, graph.integers([1]));
    const passing = scattered(enough, firsts, filled(one, shapeOf(firsts)));
    graph.output(gathered(inGroups(passing), best, ["passing"]), "float32", ["G", "K"]);
  }
  return graph.build();
}

/** `[heads of all, width]`. */
function stacked(
  graph: GraphBuilder,
  { tensors, even }: RankGraphSpec,
  name: "scores" | "rescored",
): Value {
  const parts = Array.from({ length: tensors }, (_, tensor) => {
    const shape = [`heads_${tensor}`, even ? "tokens" : `tokens_${tensor}`];
    const input = graph.input(`${name}.${tensor}`, "float32", shape);
    return even ? input : graph.op("Pad", [input, `pads.${tensor}`]);
  });
  return joinedInGroups(graph, parts);
}

/** The first numbers of `counting`. */
function leading(graph: GraphBuilder, count: Value): Value {
  return graph.op("Slice", ["counting", graph.integers([0]), count, graph.integers([0])]);
}
