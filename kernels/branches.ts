import { type Attended, growsInPlace, nothing, type Present } from "./attention_nodes.ts";
import type { Dimension, Graph, GraphBuilder, Value } from "./onnx/graph.ts";
import { sequenceNames } from "./sequence_names.ts";
import type { StepModel } from "./step_model.ts";

/** What the attention of a layer gives, of as many sequences as take part. */
export interface LayerAttended extends Omit<Attended, "present"> {
  /** Of each sequence, where layers grow in place; absent of one that does not take part. */
  readonly presents: readonly (Present | undefined)[];
}

/** What each of two branches gives. */
export interface BranchOutputs {
  readonly model: StepModel;
  readonly layer: number;
  /** Whether attention sums are among it: those of a branch that has none are empty. */
  readonly sums: boolean;
  /** Sequences whose keys and values are among it, where the layer grows in place. */
  readonly sequences: number;
  /** Whether these are outputs of the whole graph, under their names. @default {false} */
  readonly named?: boolean;
}

/** The attention of one of two branches: of `then` where the condition holds. */
export function eitherAttention(
  builder: GraphBuilder,
  outputs: BranchOutputs,
  condition: Value,
  branches: Readonly<Record<"then" | "otherwise", (inner: GraphBuilder) => LayerAttended>>,
): LayerAttended {
  const { model, layer, sums, named = false } = outputs;
  const growing = presentsOf(outputs);
  const shapes: readonly (readonly Dimension[])[] = [
    [1, "T", model.heads * model.headDim],
    ...(sums ? [["N"]] : []),
    ...new Array<readonly Dimension[]>(2 * growing).fill([1, model.kvHeads, "C", model.headDim]),
  ];
  const branch = (name: "then" | "otherwise"): Graph => {
    const inner = builder.branch(name);
    const attended = branches[name](inner);
    const values = [
      attended.mixed,
      ...(sums ? [attended.attentionSums ?? nothing(inner)] : []),
      ...presentValues(inner, model, growing, attended.presents),
    ];
    shapes.forEach((shape, index) => inner.output(values[index] ?? "", "float32", shape));
    return inner.build();
  };
  const names = Array.from({ length: growing }, (_, sequence) => sequenceNames(sequence))
    .flatMap(({ presentKeys, presentValues }) => [presentKeys(layer), presentValues(layer)]);
  const [mixed = "", ...rest] = builder.ops("If", [condition], shapes.length, {
    names: named ? [`mixed.${layer}`, ...(sums ? [`sums.${layer}`] : []), ...names] : [],
    attributes: {
      then_branch: { graph: branch("then") },
      else_branch: { graph: branch("otherwise") },
    },
  });
  const [attentionSums] = sums ? rest.splice(0, 1) : [];
  return {
    mixed,
    ...(attentionSums === undefined ? {} : { attentionSums }),
    presents: Array.from({ length: growing }, (_, sequence) => ({
      keys: rest[2 * sequence] ?? "",
      values: rest[2 * sequence + 1] ?? "",
    })),
  };
}

/** Keys and values of each sequence by turns, empty ones of those that do not take part. */
export function presentValues(
  builder: GraphBuilder,
  { kvHeads, headDim }: StepModel,
  sequences: number,
  presents: LayerAttended["presents"],
): Value[] {
  const absent = () =>
    builder.op("Identity", [builder.constant(new Float32Array(0), [1, kvHeads, 0, headDim])]);
  return Array.from({ length: sequences }, (_, sequence) => presents[sequence])
    .flatMap((present) => present ? [present.keys, present.values] : [absent(), absent()]);
}

function presentsOf({ model, layer, sequences }: BranchOutputs): number {
  return growsInPlace(model, model.layerKinds[layer]?.window) ? sequences : 0;
}
