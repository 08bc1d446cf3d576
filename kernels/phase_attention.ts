import type { SequenceLengths } from "./attention_nodes.ts";
import type { Apart } from "./attention_sums.ts";
import { eitherAttention, type LayerAttended } from "./branches.ts";
import {
  answerAttention,
  branchesOf,
  type LayerAttention,
  promptAttention,
} from "./layer_attention.ts";
import type { RotatedTokens } from "./layer_nodes.ts";
import { cast } from "./onnx/cast.ts";
import type { GraphBuilder, Value } from "./onnx/graph.ts";
import { causalMask } from "./ragged_attention.ts";
import type { ManySequences } from "./sequence_attention.ts";
import type { StepModel } from "./step_model.ts";

/** A phase that a branch is for. */
export type FixedPhase = "decode" | "prefill";

/** Where one graph serves both phases. */
export interface EitherPhase {
  /** Whether the step decodes, a boolean scalar. */
  readonly decode: Value;
}

/** What the attention of all layers shares. */
export interface StepShape {
  readonly observe: Value;
  /** New tokens that are told apart. */
  readonly apart: Apart;
  /** Of each layer: whether heads of a sequence hold different numbers of tokens, `[1]`. */
  readonly ragged: readonly Value[];
  /** New tokens, `[1]`. */
  readonly tokens: Value;
  /** Where a step may advance several sequences. */
  readonly many: ManySequences | undefined;
  /** Whether some tokens of one sequence are read as answers are written, a boolean scalar. */
  readonly rounded: Value;
  /** Sequences at most. */
  readonly sequences: number;
}

/** Emits the attention of a layer as a phase has it, with a choice where the step decides. */
export function phaseAttention(
  builder: GraphBuilder,
  model: StepModel,
  step: StepShape,
  phase: FixedPhase | EitherPhase,
): (tokens: RotatedTokens, layer: number) => LayerAttended {
  const { observe, apart, many, rounded, tokens: count } = step;
  const lengthsIn = (fixed: FixedPhase) =>
    phase === fixed || typeof phase === "object" ? layerLengths(builder, model, step, fixed) : none;
  const lengths = { prefill: lengthsIn("prefill"), decode: lengthsIn("decode") };
  const helpers = { causal: causalMask(builder, count), tokens: count };
  const layerOf = (layer: number, fixed: FixedPhase): LayerAttention => ({
    ...{ model, layer, observe, apart, many, rounded },
    lengths: (sequence) => lengths[fixed](sequence, layer),
    ragged: step.ragged[layer] ?? "",
  });
  const mix = (
    inner: GraphBuilder,
    tokens: RotatedTokens,
    layer: number,
    fixed: FixedPhase,
  ): LayerAttended =>
    fixed === "decode"
      ? answerAttention(inner, tokens, layerOf(layer, fixed), helpers)
      : promptAttention(inner, tokens, layerOf(layer, fixed), helpers);
  return (tokens, layer) => {
    if (typeof phase !== "object") return mix(builder, tokens, layer, phase);
    // What is written behind the past is an output of the whole graph: a copy would not be in its place.
    const outputs = { ...branchesOf(layerOf(layer, "decode")), named: true };
    return eitherAttention(builder, outputs, phase.decode, {
      then: (inner) => mix(inner, tokens, layer, "decode"),
      otherwise: (inner) => mix(inner, tokens, layer, "prefill"),
    });
  };
}

type LengthsOfLayer = (sequence: number, layer: number) => SequenceLengths;

const none: LengthsOfLayer = () => ({ last: "", total: "" });

/** Lengths of each sequence and layer: with one new token of each, or all new tokens of the first. */
function layerLengths(
  builder: GraphBuilder,
  { layers: { length: layers } }: StepModel,
  { tokens, sequences, many }: StepShape,
  phase: FixedPhase,
): LengthsOfLayer {
  const pieces = (phase === "decode" ? sequences : 1) * layers;
  const held = builder.op("Reshape", ["held", builder.integers([-1])]);
  const ofPhase = pieces === sequences * layers
    ? held
    : builder.op("Slice", [held, builder.integers([0]), builder.integers([pieces])]);
  const all = cast(builder, tokens, "int32");
  const more = phase === "decode" && many !== undefined
    ? builder.op("Where", [many.several, builder.constant(Int32Array.of(1), [1]), all])
    : all;
  const total = builder.op("Add", [ofPhase, more]);
  const totals = onePieces(builder, total, pieces);
  const last = builder.op("Sub", [total, builder.constant(Int32Array.of(1), [1])]);
  const lasts = onePieces(builder, last, pieces);
  return (sequence, layer) => {
    const index = sequence * layers + layer;
    return { last: lasts[index] ?? "", total: totals[index] ?? "" };
  };
}

/** Numbers one by one, `[1]` each. */
export function onePieces(
  builder: GraphBuilder,
  value: Value,
  pieces: number,
): readonly Value[] {
  if (pieces === 1) return [value];
  const sizes = builder.integers(new Array<number>(pieces).fill(1));
  return builder.ops("Split", [value, sizes], pieces, { attributes: { axis: { int: 0 } } });
}
