import {
  type Attended,
  groupQueryAttention,
  liesByHead,
  type SequenceLengths,
  tokenMajorAttention,
} from "./attention_nodes.ts";
import { eitherAttention, type LayerAttended } from "./branches.ts";
import type { RotatedTokens } from "./layer_nodes.ts";
import type { GraphBuilder, Value } from "./onnx/graph.ts";
import { raggedDecodeAttention } from "./ragged_attention.ts";
import { sequenceNames } from "./sequence_names.ts";
import type { StepModel } from "./step_model.ts";

/** Sequences that one decoding step may advance at most. */
export const MAX_SEQUENCES = 16;

/**
 * Declares what sequences have cached, and where there are several `sequences [1]`: how many. One that
 * is absent brings a token of anything.
 */
export function declareSequences(graph: GraphBuilder, model: StepModel, sequences: number): void {
  const { layers, layerKinds, kvHeads, headDim } = model;
  if (sequences > 1) graph.input("sequences", "int64", [1]);
  for (let sequence = 0; sequence < sequences; sequence++) {
    const names = sequenceNames(sequence);
    layers.forEach((_, layer) => {
      const size = `P${layer}.${sequence}`;
      const shape = liesByHead(model, layerKinds[layer]?.window)
        ? [1, kvHeads, size, headDim]
        : [size, kvHeads, headDim];
      graph.input(names.keys(layer), "float32", shape);
      graph.input(names.values(layer), "float32", shape);
    });
  }
}

/** What is known of the sequences of a step, made once per graph. */
export interface ManySequences {
  /** Sequences at most. */
  readonly most: number;
  /** Whether a step advances more than one, a boolean scalar. */
  readonly several: Value;
  /** Numbers of sequences that attention is emitted for, the smallest first. */
  readonly sizes: readonly SequenceCount[];
}

interface SequenceCount {
  readonly size: number;
  /** Whether there are more, a boolean scalar. */
  readonly more: Value;
  /** Rows of the sequences, `[size]`: the last one's in the place of those that are absent. */
  readonly rows: Value;
  /** Rows that are meant, `[1]`. */
  readonly present: Value;
}

/** Makes what {@linkcode sequencesAttention} works with, in the outermost graph. */
export function manySequences(graph: GraphBuilder, most: number): ManySequences {
  const moreThan = (count: number): Value =>
    graph.op("Squeeze", [
      graph.op("Greater", ["sequences", graph.integers([count])]),
      graph.integers([0]),
    ]);
  const sizes: number[] = [];
  for (let size = 2; size < most; size *= 2) sizes.push(size);
  sizes.push(most);
  const last = graph.op("Sub", ["sequences", graph.integers([1])]);
  return {
    most,
    several: moreThan(1),
    sizes: sizes.map((size) => ({
      size,
      more: moreThan(size),
      rows: graph.op("Min", [graph.integers(Array.from({ length: size }, (_, row) => row)), last]),
      present: "sequences",
    })),
  };
}

/** Where the segments of a sequence's KV heads begin and end in a layer, `[2 · kvHeads]`. */
export function segmentsOf(builder: GraphBuilder, sequence: number, layer: number): Value {
  return ofSequence(builder, "segments", sequence, layer);
}

function ofSequence(builder: GraphBuilder, all: Value, sequence: number, layer: number): Value {
  return builder.op("GatherND", [all, builder.integers([sequence, layer])]);
}

/** What the attention of several sequences is emitted from. */
export interface SequencesAttention {
  readonly model: StepModel;
  readonly many: ManySequences;
  readonly layer: number;
  /** Whether any sequence's KV heads hold different numbers of tokens; absent in a layer that slides. */
  readonly ragged: Value | undefined;
  /** Of each sequence. */
  readonly lengths: (sequence: number) => SequenceLengths;
  /** One token of each sequence. */
  readonly tokens: RotatedTokens;
}

/**
 * Attention of one new token of each of several sequences, `[1, sequences, heads · headDim]`: the
 * numbers that each would have alone.
 */
export function sequencesAttention(
  builder: GraphBuilder,
  attention: SequencesAttention,
): LayerAttended {
  const { ragged, many: { sizes } } = attention;
  if (ragged === undefined) return bySize(builder, attention, sizes);
  return eitherAttention(builder, outputsOf(attention), ragged, {
    then: (inner) => oneByOne(inner, attention),
    otherwise: (inner) => bySize(inner, attention, sizes),
  });
}

function outputsOf({ model, layer, many }: SequencesAttention, sequences = many.most) {
  return { model, layer, sums: false, sequences };
}

/** Emits for each of some numbers of sequences; one that is absent takes part with the last one's token. */
function bySize(
  builder: GraphBuilder,
  attention: SequencesAttention,
  sizes: readonly SequenceCount[],
): LayerAttended {
  const smaller = sizes.slice(0, -1);
  const [below, size] = [smaller.at(-1), sizes.at(-1)];
  if (!size) throw new RangeError("Cannot attend for no sequences");
  if (!below) return alike(builder, attention, size);
  return eitherAttention(builder, outputsOf(attention), below.more, {
    then: (inner) => alike(inner, attention, size),
    otherwise: (inner) => bySize(inner, attention, smaller),
  });
}

function alike(
  builder: GraphBuilder,
  attention: SequencesAttention,
  { size, rows, present }: SequenceCount,
): LayerAttended {
  const { queries, keys, values } = attention.tokens;
  const ofEach = (value: Value) =>
    builder.ops(
      "Split",
      [
        builder.op("Gather", [value, rows], { attributes: { axis: { int: 1 } } }),
        builder.integers(new Array<number>(size).fill(1)),
      ],
      size,
      { attributes: { axis: { int: 1 } } },
    );
  const own = { queries: ofEach(queries), keys: ofEach(keys), values: ofEach(values) };
  const all = Array.from(
    { length: size },
    (_, sequence) =>
      attendUniformly(builder, attention, sequence, {
        queries: own.queries[sequence] ?? "",
        keys: own.keys[sequence] ?? "",
        values: own.values[sequence] ?? "",
      }),
  );
  const mixed = joined(builder, all.map((one) => one.mixed));
  return {
    mixed: builder.op("Slice", [mixed, builder.integers([0]), present, builder.integers([1])]),
    presents: all.map((one) => one.present),
  };
}

/** Attention of one sequence whose KV heads hold the same number of tokens. */
function attendUniformly(
  builder: GraphBuilder,
  { model, layer, lengths }: SequencesAttention,
  sequence: number,
  tokens: RotatedTokens,
): Attended {
  const names = sequenceNames(sequence);
  const inputs = { ...tokens, pastKeys: names.keys(layer), pastValues: names.values(layer) };
  return liesByHead(model, model.layerKinds[layer]?.window)
    ? groupQueryAttention(builder, model, inputs, lengths(sequence))
    : tokenMajorAttention(builder, model, inputs);
}

/** Each sequence by itself: KV heads of one layer may hold different numbers of tokens. */
function oneByOne(builder: GraphBuilder, attention: SequencesAttention): LayerAttended {
  const { model, many: { most }, layer, tokens } = attention;
  const width = model.heads * model.headDim;
  const outputs = outputsOf(attention, 1);
  const attend = (inner: GraphBuilder, sequence: number): LayerAttended => {
    const names = sequenceNames(sequence);
    const own = (value: Value) =>
      inner.op("Gather", [value, inner.integers([sequence])], { attributes: { axis: { int: 1 } } });
    const { queries, keys, values } = tokens;
    const ofOne = { queries: own(queries), keys: own(keys), values: own(values) };
    const past = { pastKeys: names.keys(layer), pastValues: names.values(layer) };
    return eitherAttention(inner, outputs, ofSequence(inner, "ragged", sequence, layer), {
      then: (one) => {
        const segments = segmentsOf(one, sequence, layer);
        const mixed = raggedDecodeAttention(one, model, { ...ofOne, ...past }, segments);
        return { mixed, presents: [] };
      },
      otherwise: (one) => {
        const { mixed, present } = attendUniformly(one, attention, sequence, ofOne);
        return { mixed, presents: [present] };
      },
    });
  };
  const all = Array.from({ length: most }, (_, sequence) => {
    // There are two at least.
    if (sequence < 2) return attend(builder, sequence);
    const present = builder.op("Squeeze", [
      builder.op("Greater", ["sequences", builder.integers([sequence])]),
      builder.integers([0]),
    ]);
    return eitherAttention(builder, outputs, present, {
      then: (inner) => attend(inner, sequence),
      otherwise: (inner) => {
        const none = inner.constant(new Float32Array(0), [1, 0, width]);
        return { mixed: inner.op("Identity", [none]), presents: [] };
      },
    });
  });
  return {
    mixed: joined(builder, all.map(({ mixed }) => mixed)),
    presents: all.map(({ presents: [present] }) => present),
  };
}

function joined(builder: GraphBuilder, values: readonly Value[]): Value {
  return builder.op("Concat", values, { attributes: { axis: { int: 1 } } });
}
