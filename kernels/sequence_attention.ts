import {
  type AttentionInputs,
  type AttentionShape,
  decodeAttention,
  groupDiagonal,
  type HeadShape,
} from "./attention_nodes.ts";
import type { RotatedTokens } from "./layer_nodes.ts";
import type { Graph, GraphBuilder, Value } from "./onnx/graph.ts";
import { raggedDecodeAttention } from "./ragged_attention.ts";

/** Sequences that one decoding step may advance at most. */
export const MAX_SEQUENCES = 16;

/** Names of what a sequence of a step brings. The first one's are those of every step. */
export function sequenceNames(sequence: number): {
  readonly keys: (layer: number) => Value;
  readonly values: (layer: number) => Value;
  readonly ragged: Value;
  readonly segments: Value;
} {
  const of = sequence === 0 ? "" : `.${sequence}`;
  return {
    keys: (layer) => `past_keys.${layer}${of}`,
    values: (layer) => `past_values.${layer}${of}`,
    ragged: `ragged${of}`,
    segments: `segments${of}`,
  };
}

/**
 * Declares what further sequences bring, and `sequences [1]`: how many there are. A sequence that is
 * absent brings anything of the right types.
 */
export function declareSequences(
  graph: GraphBuilder,
  { kvHeads, headDim, layers }: HeadShape & { readonly layers: readonly unknown[] },
  sequences: number,
): void {
  const width = kvHeads * headDim;
  graph.input("sequences", "int64", [1]);
  for (let sequence = 1; sequence < sequences; sequence++) {
    const names = sequenceNames(sequence);
    graph.input(names.ragged, "bool", [layers.length]);
    graph.input(names.segments, "int64", [layers.length, 2 * kvHeads]);
    layers.forEach((_, layer) => {
      graph.input(names.keys(layer), "float32", [1, `P${layer}.${sequence}`, width]);
      graph.input(names.values(layer), "float32", [1, `P${layer}.${sequence}`, width]);
    });
  }
}

/** Whether a step advances several sequences, a boolean scalar. */
export function severalSequences(graph: GraphBuilder): Value {
  return graph.op("Squeeze", [
    graph.op("Greater", ["sequences", graph.integers([1])]),
    graph.integers([0]),
  ]);
}

/** What the attention of several sequences is emitted from. */
export interface SequencesAttention {
  readonly shape: AttentionShape;
  /** Sequences at most. */
  readonly sequences: number;
  readonly layer: number;
  /** Whether the layer slides: its KV heads then hold the same tokens. */
  readonly sliding: boolean;
  /** One token of each sequence. */
  readonly tokens: RotatedTokens;
}

/**
 * Attention of one new token of each of several sequences, `[1, sequences, heads · headDim]`: for each
 * the nodes that it would have alone, so that the numbers are the same. Sequences that are absent cost
 * nothing.
 */
export function sequencesAttention(
  builder: GraphBuilder,
  { shape, sequences, layer, sliding, tokens }: SequencesAttention,
): Value {
  const width = shape.heads * shape.headDim;
  const output = (inner: GraphBuilder, value: Value): Graph => {
    inner.output(value, "float32", [1, "T", width]);
    return inner.build();
  };
  const choose = (inner: GraphBuilder, condition: Value, one: Graph, other: Graph): Value =>
    inner.op("If", [condition], {
      attributes: { then_branch: { graph: one }, else_branch: { graph: other } },
    });
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
    if (sliding) return oneUniform(inner, shape, attention);
    const ofLayer = (value: Value) =>
      inner.op("Gather", [value, inner.constant(BigInt64Array.of(BigInt(layer)), [])]);
    const ragged = inner.branch("ragged");
    const uniform = inner.branch("uniform");
    return choose(
      inner,
      ofLayer(names.ragged),
      output(ragged, raggedDecodeAttention(ragged, shape, attention, ofLayer(names.segments))),
      output(uniform, oneUniform(uniform, shape, attention)),
    );
  };
  const present = (inner: GraphBuilder, sequence: number): Value =>
    inner.op("Squeeze", [
      inner.op("Greater", ["sequences", inner.integers([sequence])]),
      inner.integers([0]),
    ]);
  const all = Array.from({ length: sequences }, (_, sequence) => {
    // There are two at least.
    if (sequence < 2) return attend(builder, sequence);
    const inner = builder.branch("present");
    const absent = builder.branch("absent");
    const none = absent.op("Identity", [absent.constant(new Float32Array(0), [1, 0, width])]);
    return choose(
      builder,
      present(builder, sequence),
      output(inner, attend(inner, sequence)),
      output(absent, none),
    );
  });
  return builder.op("Concat", all, { attributes: { axis: { int: 1 } } });
}

function oneUniform(
  builder: GraphBuilder,
  shape: AttentionShape,
  attention: AttentionInputs,
): Value {
  const past = builder.op("Shape", [attention.pastKeys], {
    attributes: { start: { int: 1 }, end: { int: 2 } },
  });
  return decodeAttention(builder, shape, attention, {
    diagonal: groupDiagonal(builder, shape),
    parts: builder.op("Concat", [past, builder.integers([1])], {
      attributes: { axis: { int: 0 } },
    }),
  });
}
