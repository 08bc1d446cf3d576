import {
  type Attended,
  type AttentionInputs,
  groupQueryAttention,
  liesByHead,
  type SequenceLengths,
  tokenMajorAttention,
} from "./attention_nodes.ts";
import type { Apart } from "./attention_sums.ts";
import { type BranchOutputs, eitherAttention, type LayerAttended } from "./branches.ts";
import type { RotatedTokens } from "./layer_nodes.ts";
import type { GraphBuilder, Value } from "./onnx/graph.ts";
import { raggedAttention, raggedDecodeAttention, type RaggedHelpers } from "./ragged_attention.ts";
import { type ManySequences, segmentsOf, sequencesAttention } from "./sequence_attention.ts";
import { sequenceNames } from "./sequence_names.ts";
import type { StepModel } from "./step_model.ts";

/** What a layer's attention is emitted from, besides its new tokens. */
export interface LayerAttention {
  readonly model: StepModel;
  readonly layer: number;
  /** Of each sequence. */
  readonly lengths: (sequence: number) => SequenceLengths;
  /** Whether heads of any sequence hold different numbers of tokens, `[1]`. */
  readonly ragged: Value;
  /** Whether attention is to be summed, a boolean scalar. */
  readonly observe: Value;
  /** New tokens that are summed apart. */
  readonly apart: Apart;
  /** Where a step may advance several sequences. */
  readonly many: ManySequences | undefined;
  /** Whether some tokens of one sequence are read as answers are written, a boolean scalar. */
  readonly rounded: Value;
}

/** What the attention of ragged heads shares with that of other layers. */
type SharedHelpers = Pick<RaggedHelpers, "causal" | "tokens">;

/** Emits the attention of many new tokens of one sequence. */
export function promptAttention(
  builder: GraphBuilder,
  tokens: RotatedTokens,
  of: LayerAttention,
  helpers: SharedHelpers,
): LayerAttended {
  const { model, layer, apart } = of;
  const inputs = inputsOf(tokens, layer);
  const lengths = of.lengths(0);
  const window = model.layerKinds[layer]?.window;
  if (window !== undefined) {
    return alone(groupQueryAttention(builder, model, inputs, lengths, { window, whole: true }));
  }
  const plain = (inner: GraphBuilder, observed: boolean): LayerAttended =>
    alone(groupQueryAttention(inner, model, inputs, lengths, { observed, whole: true, apart }));
  const uniform = (inner: GraphBuilder): LayerAttended =>
    eitherAttention(inner, branchesOf(of), of.observe, {
      then: (innermost) => plain(innermost, true),
      otherwise: (innermost) => plain(innermost, false),
    });
  if (model.kvHeads === 1) return uniform(builder);
  return eitherAttention(builder, branchesOf(of), of.ragged, {
    then: (inner) => {
      const segments = segmentsOf(inner, 0, layer);
      return alone(raggedAttention(inner, model, inputs, { ...helpers, segments, apart }));
    },
    otherwise: uniform,
  });
}

/**
 * Emits the attention of one new token, or of one of each of several sequences, or of some tokens that
 * are read as answers are written.
 */
export function answerAttention(
  builder: GraphBuilder,
  tokens: RotatedTokens,
  of: LayerAttention,
  helpers: SharedHelpers,
): LayerAttended {
  const { model, layer, many, lengths } = of;
  const one = (inner: GraphBuilder) => answerOfOne(inner, tokens, of, helpers);
  if (many === undefined) return one(builder);
  const ragged = canBeRagged(model, layer) ? of.ragged : undefined;
  return eitherAttention(builder, branchesOf(of), many.several, {
    then: (inner) => sequencesAttention(inner, { model, many, layer, ragged, lengths, tokens }),
    otherwise: one,
  });
}

function answerOfOne(
  builder: GraphBuilder,
  tokens: RotatedTokens,
  of: LayerAttention,
  helpers: SharedHelpers,
): LayerAttended {
  const { model, layer } = of;
  const inputs = inputsOf(tokens, layer);
  const window = model.layerKinds[layer]?.window;
  const some = (inner: GraphBuilder) => promptAttention(inner, tokens, of, helpers);
  if (!liesByHead(model, window)) {
    return eitherAttention(builder, branchesOf(of), of.rounded, {
      then: some,
      otherwise: (inner) => alone(tokenMajorAttention(inner, model, inputs)),
    });
  }
  // The past of a sliding layer is what its window shows: one query sees all of it. Nothing is evicted
  // from it: its KV heads hold the same tokens.
  if (window !== undefined) {
    return alone(groupQueryAttention(builder, model, inputs, of.lengths(0), { window }));
  }
  const uniform = (inner: GraphBuilder) =>
    alone(groupQueryAttention(inner, model, inputs, of.lengths(0)));
  if (!canBeRagged(model, layer)) {
    return eitherAttention(builder, branchesOf(of), of.rounded, { then: some, otherwise: uniform });
  }
  const special = builder.op("Or", [of.ragged, of.rounded]);
  return eitherAttention(builder, branchesOf(of), special, {
    then: (inner) =>
      eitherAttention(inner, branchesOf(of), of.rounded, {
        then: some,
        otherwise: (innermost) => {
          const segments = segmentsOf(innermost, 0, layer);
          return alone({ mixed: raggedDecodeAttention(innermost, model, inputs, segments) });
        },
      }),
    otherwise: uniform,
  });
}

function inputsOf(tokens: RotatedTokens, layer: number): AttentionInputs {
  const { keys, values } = sequenceNames(0);
  return { ...tokens, pastKeys: keys(layer), pastValues: values(layer) };
}

/** What each of two branches of a layer's attention gives. */
export function branchesOf({ model, layer, many }: LayerAttention): BranchOutputs {
  const sums = model.layerKinds[layer]?.window === undefined;
  return { model, layer, sums, sequences: many?.most ?? 1 };
}

/** Whether KV heads may hold different numbers of tokens: there are several, and tokens are evicted. */
function canBeRagged({ kvHeads, layerKinds }: StepModel, layer: number): boolean {
  return kvHeads > 1 && layerKinds[layer]?.window === undefined;
}

function alone({ present, ...attended }: Attended): LayerAttended {
  return { ...attended, presents: [present] };
}
