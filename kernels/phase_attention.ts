import {
  type AttentionInputs,
  decodeAttention,
  nothing,
  type PrefillAttention,
  prefillAttention,
  type SequenceLengths,
  slidingAttention,
} from "./attention_nodes.ts";
import type { RotatedTokens } from "./layer_nodes.ts";
import { cast } from "./onnx/cast.ts";
import type { Attribute, GraphBuilder, Value } from "./onnx/graph.ts";
import { causalMask, raggedAttention, raggedDecodeAttention } from "./ragged_attention.ts";
import {
  type ManySequences,
  segmentsOf,
  sequenceNames,
  sequencesAttention,
} from "./sequence_attention.ts";
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
  /** Of each layer: whether heads of a sequence hold different numbers of tokens, `[1]`. */
  readonly ragged: readonly Value[];
  /** Of each sequence and layer: cached tokens, and one, `[2]`. */
  readonly parts: readonly (readonly Value[])[];
  /** New tokens, `[1]`. */
  readonly tokens: Value;
  /** Where a step may advance several sequences. */
  readonly many: ManySequences | undefined;
}

/** Emits the attention of a layer as a phase has it, with a choice where the step decides. */
export function phaseAttention(
  builder: GraphBuilder,
  model: StepModel,
  step: StepShape,
  phase: FixedPhase | EitherPhase,
): (tokens: RotatedTokens, layer: number) => PrefillAttention {
  const causal = causalMask(builder, step.tokens);
  const lengths = phase === "decode"
    ? []
    : perCache(model, (layer) => sequenceLengths(builder, step, layer));
  const parts = (sequence: number, layer: number) => step.parts[sequence]?.[layer] ?? "";
  const uniform = (
    inner: GraphBuilder,
    attention: AttentionInputs,
    layer: number,
    phase: FixedPhase,
  ) => {
    const [ofLayer, window] = [lengths[layer], model.layerKinds[layer]?.window];
    if (ofLayer && phase === "prefill") {
      if (window === undefined) {
        return prefillAttention(inner, model, attention, ofLayer, step.observe);
      }
      const mixed = slidingAttention(inner, model, attention, ofLayer, window);
      return { mixed, attentionSums: "" };
    }
    // The past of a sliding layer is what its window shows: one query sees all of it.
    const mixed = decodeAttention(inner, model, attention, [
      { keys: attention.pastKeys, values: attention.pastValues, parts: parts(0, layer) },
    ]);
    return { mixed, attentionSums: window === undefined ? nothing(inner) : "" };
  };
  const raggedly = (
    inner: GraphBuilder,
    attention: AttentionInputs,
    layer: number,
    phase: FixedPhase,
  ) => {
    const ofLayer = segmentsOf(inner, 0, layer);
    if (phase === "decode") {
      return {
        mixed: raggedDecodeAttention(inner, model, attention, ofLayer),
        attentionSums: nothing(inner),
      };
    }
    const helpers = { segments: ofLayer, causal, tokens: step.tokens };
    return raggedAttention(inner, model, attention, helpers);
  };
  const mix = (
    outer: GraphBuilder,
    tokens: RotatedTokens,
    layer: number,
    phase: FixedPhase,
  ): PrefillAttention => {
    const names = sequenceNames(0);
    const attention = {
      ...tokens,
      pastKeys: names.keys(layer),
      pastValues: names.values(layer),
    };
    // Nothing is evicted from a sliding layer: its KV heads hold the same tokens.
    if (model.layerKinds[layer]?.window !== undefined) {
      return uniform(outer, attention, layer, phase);
    }
    return eitherAttention(outer, model, step.ragged[layer] ?? "", {
      ragged: (inner) => raggedly(inner, attention, layer, phase),
      uniform: (inner) => uniform(inner, attention, layer, phase),
    });
  };
  const { many } = step;
  const decoded = (outer: GraphBuilder, tokens: RotatedTokens, layer: number): PrefillAttention => {
    if (many === undefined) return mix(outer, tokens, layer, "decode");
    const sliding = model.layerKinds[layer]?.window !== undefined;
    const ragged = sliding ? undefined : step.ragged[layer];
    return eitherAttention(outer, model, many.several, {
      several: (inner) => ({
        mixed: sequencesAttention(inner, {
          ...{ shape: model, many, layer, ragged, tokens },
          parts: (sequence) => parts(sequence, layer),
        }),
        attentionSums: sliding ? "" : nothing(inner),
      }),
      alone: (inner) => mix(inner, tokens, layer, "decode"),
    });
  };
  return (tokens, layer) => {
    if (phase === "decode") return decoded(builder, tokens, layer);
    if (phase === "prefill") return mix(builder, tokens, layer, "prefill");
    return eitherAttention(builder, model, phase.decode, {
      decode: (inner) => decoded(inner, tokens, layer),
      prefill: (inner) => mix(inner, tokens, layer, "prefill"),
    });
  };
}

/** What follows from the length of a layer's past: made once for all layers with the same window. */
function perCache<T>({ layers, layerKinds }: StepModel, make: (layer: number) => T): readonly T[] {
  const ofWindow = new Map<number, T>();
  return layers.map((_, layer) => {
    const window = layerKinds[layer]?.window;
    if (window === undefined) return make(layer);
    const made = ofWindow.get(window) ?? make(layer);
    ofWindow.set(window, made);
    return made;
  });
}

function sequenceLengths(
  builder: GraphBuilder,
  { tokens, parts: [first = []] }: Pick<StepShape, "tokens" | "parts">,
  layer: number,
): SequenceLengths {
  const before = builder.op("ReduceSum", [first[layer] ?? ""]);
  const last = cast(
    builder,
    builder.op("Add", [before, builder.op("Sub", [tokens, builder.integers([2])])]),
    "int32",
  );
  const total = builder.op("Add", [last, builder.constant(Int32Array.of(1), [1])]);
  return { last, total: builder.op("Squeeze", [total, builder.integers([0])]) };
}

/** The attention of one of two branches: the first where the condition holds. */
function eitherAttention(
  builder: GraphBuilder,
  { heads, headDim }: StepModel,
  condition: Value,
  branches: Readonly<Record<string, (inner: GraphBuilder) => PrefillAttention>>,
): PrefillAttention {
  let observed = false;
  const [then, otherwise] = Object.entries(branches).map(([name, emit]): Attribute => {
    const inner = builder.branch(name);
    const { mixed, attentionSums } = emit(inner);
    inner.output(mixed, "float32", [1, "T", heads * headDim]);
    observed = attentionSums !== "";
    if (observed) inner.output(attentionSums, "float32", ["N"]);
    return { graph: inner.build() };
  });
  if (!then || !otherwise) throw new RangeError("Cannot choose between fewer than two branches");
  const [mixed = "", attentionSums = ""] = builder.ops("If", [condition], observed ? 2 : 1, {
    attributes: { then_branch: then, else_branch: otherwise },
  });
  return { mixed, attentionSums };
}
