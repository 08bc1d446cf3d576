import {
  type AttentionInputs,
  type AttentionShape,
  decodeAttention,
  type HeadShape,
  type PastTensors,
} from "./attention_nodes.ts";
import type { RotatedTokens } from "./layer_nodes.ts";
import type { Graph, GraphBuilder, Value } from "./onnx/graph.ts";
import { raggedDecodeAttention } from "./ragged_attention.ts";

/** Sequences that one decoding step may advance at most. */
export const MAX_SEQUENCES = 16;

/** Names of what a sequence of a step has cached. The first one's are those of every step. */
export function sequenceNames(sequence: number): {
  readonly keys: (layer: number) => Value;
  readonly values: (layer: number) => Value;
} {
  const of = sequence === 0 ? "" : `.${sequence}`;
  return {
    keys: (layer) => `past_keys.${layer}${of}`,
    values: (layer) => `past_values.${layer}${of}`,
  };
}

/**
 * Declares what sequences have cached, and where there are several `sequences [1]`: how many. One that
 * is absent brings a token of anything.
 */
export function declareSequences(
  graph: GraphBuilder,
  { kvHeads, headDim, layers }: HeadShape & { readonly layers: readonly unknown[] },
  sequences: number,
): void {
  if (sequences > 1) graph.input("sequences", "int64", [1]);
  for (let sequence = 0; sequence < sequences; sequence++) {
    const names = sequenceNames(sequence);
    layers.forEach((_, layer) => {
      const shape = [`P${layer}.${sequence}`, kvHeads, headDim];
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
  readonly shape: AttentionShape;
  readonly many: ManySequences;
  readonly layer: number;
  /** Whether any sequence's KV heads hold different numbers of tokens; absent in a layer that slides. */
  readonly ragged: Value | undefined;
  /** Tokens that a sequence has cached, and one, `[2]`. */
  readonly parts: (sequence: number) => Value;
  /** One token of each sequence. */
  readonly tokens: RotatedTokens;
}

/**
 * Attention of one new token of each of several sequences, `[1, sequences, heads · headDim]`: the
 * numbers that each would have alone.
 */
export function sequencesAttention(builder: GraphBuilder, attention: SequencesAttention): Value {
  const { ragged, shape, many: { sizes } } = attention;
  const width = shape.heads * shape.headDim;
  if (ragged === undefined) return bySize(builder, attention, sizes);
  return choose(builder, ragged, width, {
    then: (inner) => oneByOne(inner, attention),
    otherwise: (inner) => bySize(inner, attention, sizes),
  });
}

/** Emits for each of some numbers of sequences; one that is absent takes part with the last one's token. */
function bySize(
  builder: GraphBuilder,
  attention: SequencesAttention,
  sizes: readonly SequenceCount[],
): Value {
  const smaller = sizes.slice(0, -1);
  const [below, size] = [smaller.at(-1), sizes.at(-1)];
  if (!size) throw new RangeError("Cannot attend for no sequences");
  if (!below) return alike(builder, attention, size);
  return choose(builder, below.more, attention.shape.heads * attention.shape.headDim, {
    then: (inner) => alike(inner, attention, size),
    otherwise: (inner) => bySize(inner, attention, smaller),
  });
}

function alike(
  builder: GraphBuilder,
  { shape, layer, parts, tokens }: SequencesAttention,
  { size, rows, present }: SequenceCount,
): Value {
  const ofEach = (value: Value) =>
    builder.op("Gather", [value, rows], { attributes: { axis: { int: 1 } } });
  const { queries, keys, values } = tokens;
  const pasts = Array.from({ length: size }, (_, sequence): PastTensors => {
    const names = sequenceNames(sequence);
    return { keys: names.keys(layer), values: names.values(layer), parts: parts(sequence) };
  });
  const own = { queries: ofEach(queries), keys: ofEach(keys), values: ofEach(values) };
  const mixed = decodeAttention(builder, shape, own, pasts);
  return builder.op("Slice", [mixed, builder.integers([0]), present, builder.integers([1])]);
}

/** Each sequence by itself: KV heads of one layer may hold different numbers of tokens. */
function oneByOne(
  builder: GraphBuilder,
  { shape, many: { most }, layer, parts, tokens }: SequencesAttention,
): Value {
  const width = shape.heads * shape.headDim;
  const attend = (inner: GraphBuilder, sequence: number): Value => {
    const names = sequenceNames(sequence);
    const own = (value: Value) =>
      inner.op("Gather", [value, inner.integers([sequence])], { attributes: { axis: { int: 1 } } });
    const attention: AttentionInputs = {
      queries: own(tokens.queries),
      keys: own(tokens.keys),
      values: own(tokens.values),
      pastKeys: names.keys(layer),
      pastValues: names.values(layer),
    };
    const past = { keys: names.keys(layer), values: names.values(layer), parts: parts(sequence) };
    return choose(inner, ofSequence(inner, "ragged", sequence, layer), width, {
      then: (one) => raggedDecodeAttention(one, shape, attention, segmentsOf(one, sequence, layer)),
      otherwise: (one) => decodeAttention(one, shape, attention, [past]),
    });
  };
  const all = Array.from({ length: most }, (_, sequence) => {
    // There are two at least.
    if (sequence < 2) return attend(builder, sequence);
    const present = builder.op("Squeeze", [
      builder.op("Greater", ["sequences", builder.integers([sequence])]),
      builder.integers([0]),
    ]);
    return choose(builder, present, width, {
      then: (inner) => attend(inner, sequence),
      otherwise: (inner) =>
        inner.op("Identity", [inner.constant(new Float32Array(0), [1, 0, width])]),
    });
  });
  return builder.op("Concat", all, { attributes: { axis: { int: 1 } } });
}

/** One of two branches, `[1, T, width]`. */
function choose(
  builder: GraphBuilder,
  condition: Value,
  width: number,
  branches: Readonly<Record<"then" | "otherwise", (inner: GraphBuilder) => Value>>,
): Value {
  const branch = (name: "then" | "otherwise"): Graph => {
    const inner = builder.branch(name);
    inner.output(branches[name](inner), "float32", [1, "T", width]);
    return inner.build();
  };
  return builder.op("If", [condition], {
    attributes: {
      then_branch: { graph: branch("then") },
      else_branch: { graph: branch("otherwise") },
    },
  });
}
