import type { HeadShape } from "./attention_nodes.ts";
import type { GraphBuilder, Value } from "./onnx/graph.ts";

/** How attention is compared with its target. */
export interface SoftLossOptions {
  /**
   * `mse`: mean squared difference over all entries. `kl`: each layer's and head's two maps are
   * normalised over the prompt; KL(target ‖ soft), summed over tokens, mean over layers and heads.
   */
  readonly loss: "mse" | "kl";
  /**
   * `groups`: both maps are first averaged over the query heads of each KV head; `max`: of these heads'
   * numbers the largest is taken.
   */
  readonly average: "heads" | "groups" | "max";
  /**
   * `all`, for `kl` alone: both are normalised over all layers and heads together, so that how much of it
   * a head has counts as well. @default {"heads"}
   */
  readonly normalise?: "heads" | "all";
  /** First and last tokens of the prompt that are not compared: kept in any case. @default {none} */
  readonly leaveFirst?: number;
  readonly leaveLast?: number;
}

// Far below any attention that matters; keeps logarithms finite.
const TINY = 1e-12;

/**
 * The loss, a scalar.
 *
 * @param attention `[layers, heads, P]`, as is `target`.
 * @param layerWeights `[layers, 1, 1]`: each layer's loss is multiplied by its weight before the mean.
 */
export function emitSoftLoss(
  builder: GraphBuilder,
  { loss, average, normalise = "heads", leaveFirst = 0, leaveLast = 0, ...shape }:
    & SoftLossOptions
    & HeadShape
    & { readonly layers: number },
  { attention, target, layerWeights }: { attention: Value; target: Value; layerWeights: Value },
): Value {
  const maps = (value: Value) => {
    const compared = leaveFirst + leaveLast === 0 ? value : builder.op("Slice", [
      value,
      builder.integers([leaveFirst]),
      builder.integers([leaveLast === 0 ? Number.MAX_SAFE_INTEGER : -leaveLast]),
      builder.integers([2]),
    ]);
    if (average === "heads") return compared;
    return overGroups(builder, shape, compared, average === "max" ? "ReduceMax" : "ReduceMean");
  };
  const [soft, wanted] = [maps(attention), maps(target)];
  const losses = loss === "mse"
    ? squaredDifference(builder, soft, wanted)
    : divergence(builder, soft, wanted, normalise === "all" ? [0, 1, 2] : [2]);
  if (loss === "kl" && normalise === "all") {
    return builder.op("ReduceSum", [builder.op("Mul", [losses, layerWeights])], {
      attributes: { keepdims: { int: 0 } },
    });
  }
  return builder.op("ReduceMean", [builder.op("Mul", [losses, layerWeights])], {
    attributes: { keepdims: { int: 0 } },
  });
}

function overGroups(
  builder: GraphBuilder,
  { heads, kvHeads, layers }: HeadShape & { readonly layers: number },
  value: Value,
  reduction: "ReduceMax" | "ReduceMean",
): Value {
  const apart = builder.op("Reshape", [
    value,
    builder.integers([layers, kvHeads, heads / kvHeads, -1]),
  ]);
  return builder.op(reduction, [apart, builder.integers([2])], {
    attributes: { keepdims: { int: 0 } },
  });
}

/** `[layers, maps, 1]`. */
function squaredDifference(builder: GraphBuilder, soft: Value, target: Value): Value {
  const difference = builder.op("Sub", [soft, target]);
  return builder.op("ReduceMean", [
    builder.op("Mul", [difference, difference]),
    builder.integers([2]),
  ]);
}

/**
 * `[layers, maps, 1]`.
 *
 * @param axes That each map is normalised over.
 */
function divergence(
  builder: GraphBuilder,
  soft: Value,
  target: Value,
  axes: readonly number[],
): Value {
  const last = builder.integers([2]);
  const tiny = builder.constant(Float32Array.of(TINY), []);
  const normalised = (value: Value) =>
    builder.op("Div", [value, builder.op("ReduceSum", [value, builder.integers(axes)])]);
  const logarithm = (value: Value) => builder.op("Log", [builder.op("Add", [value, tiny])]);
  const [p, q] = [normalised(target), normalised(soft)];
  const terms = builder.op("Mul", [
    p,
    builder.op("Sub", [logarithm(p), logarithm(q)]),
  ]);
  return builder.op("ReduceSum", [terms, last]);
}
