import { join } from "node:path";
import type { Linear, StepModel } from "../../kernels/step_graph.ts";
import type { FloatWeight, Weight } from "../../kernels/weight.ts";
import type { Checkpoint, TensorLocation } from "../checkpoint/checkpoint.ts";
import type { FamilyTensor } from "../checkpoint/families/family.ts";
import { readRows } from "../checkpoint/read_rows.ts";
import { biasName, weightName } from "../checkpoint/tensor_names.ts";
import { tensorOf } from "../checkpoint/tensor_of.ts";
import { CheckpointError } from "../errors.ts";
import type { Precision } from "./precisions.ts";
import { preparedWeights } from "./prepared_file.ts";
import { blockPieces, floatPieces } from "./pieces.ts";

// Raised whenever the layout of prepared files changes, so that old ones are not read.
const LAYOUT = 1;

const FLOAT_TYPES: Partial<Record<TensorLocation["type"], FloatWeight["type"]>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
};

/** What {@linkcode stepModel} needs besides the checkpoint. */
export interface StepModelOptions {
  readonly precision: Precision;
  /** Folder for weights that had to be converted. */
  readonly home: string;
}

/**
 * Describes a checkpoint to the step graph.
 *
 * Float weights are left where they are, for the runtime to read from the checkpoint; the others are
 * converted once, a matrix at a time, into a file named after the checkpoint's fingerprint.
 */
export async function stepModel(
  checkpoint: Checkpoint,
  { precision, home }: StepModelOptions,
): Promise<StepModel> {
  const { config, family } = checkpoint;
  const embedding = tensorOf(checkpoint, family.embedding);
  const output = config.tied ? undefined : tensorOf(checkpoint, family.output);
  const layers = Array.from(
    { length: config.layers },
    (_, layer) => layerMatrices(checkpoint, layer, precision),
  );
  const groups = [
    [embedding],
    ...(output ? [[output]] : []),
    ...layers.flatMap(groupsOf),
  ];
  const weights = await collectWeights(checkpoint, groups, precision, home);
  const weight = (...group: Group): Weight => {
    const found = weights[keyOf(group)];
    if (!found) throw new CheckpointError(`Cannot find the weight ${keyOf(group)}`);
    return found;
  };
  const linear = (...group: Group): Linear => {
    const biases = group.map(({ name }) => checkpoint.tensors.get(biasName(name)));
    const present = biases.filter((bias) => bias !== undefined);
    const bias = present.flatMap((tensor) => [...readRows(tensor)]);
    return {
      weight: weight(...group),
      ...(bias.length > 0 ? { bias: Float32Array.from(bias) } : {}),
    };
  };
  const vector = (tensor: FamilyTensor, layer?: number) =>
    readRows(tensorOf(checkpoint, tensor, layer));
  const { attentionNorm, queryNorm, keyNorm, mlpNorm } = family.layer;
  const { attentionOutputNorm, mlpOutputNorm } = family.layer;
  return {
    ...config,
    embedding: weight(embedding),
    ...(output ? { output: weight(output) } : {}),
    finalNorm: vector(family.finalNorm),
    layers: layers.map(({ qkv, attentionOutput, gate, up, down }, layer) => ({
      attentionNorm: vector(attentionNorm, layer),
      qkv: qkv.map((group) => linear(...group)),
      ...(queryNorm ? { queryNorm: vector(queryNorm, layer) } : {}),
      ...(keyNorm ? { keyNorm: vector(keyNorm, layer) } : {}),
      attentionOutput: linear(attentionOutput),
      ...(attentionOutputNorm ? { attentionOutputNorm: vector(attentionOutputNorm, layer) } : {}),
      mlpNorm: vector(mlpNorm, layer),
      gate: linear(gate),
      up: linear(up),
      down: linear(down),
      ...(mlpOutputNorm ? { mlpOutputNorm: vector(mlpOutputNorm, layer) } : {}),
    })),
  };
}

/** Matrices that become one product. */
type Group = readonly TensorLocation[];

interface LayerMatrices {
  /** One group where their weights are of one type. */
  readonly qkv: readonly Group[];
  readonly attentionOutput: TensorLocation;
  readonly gate: TensorLocation;
  readonly up: TensorLocation;
  readonly down: TensorLocation;
}

function layerMatrices(checkpoint: Checkpoint, layer: number, precision: Precision): LayerMatrices {
  const { query, key, value, attentionOutput, gate, up, down } = checkpoint.family.layer;
  const place = (tensor: FamilyTensor) => tensorOf(checkpoint, tensor, layer);
  const qkv = [query, key, value].map(place);
  const types = new Set(qkv.map(({ type }) => type));
  // Floats stay in the checkpoint, where the three matrices are apart.
  const stays = precision === "fp32" && [...types].every((type) => FLOAT_TYPES[type]);
  return {
    qkv: types.size === 1 && !stays ? [qkv] : qkv.map((tensor) => [tensor]),
    attentionOutput: place(attentionOutput),
    gate: place(gate),
    up: place(up),
    down: place(down),
  };
}

function groupsOf({ qkv, ...others }: LayerMatrices): readonly Group[] {
  return [...qkv, ...Object.values(others).map((matrix) => [matrix])];
}

/** Name of a group in prepared files. */
function keyOf(group: Group): string {
  return group.map(({ name }) => name).join("+");
}

async function collectWeights(
  checkpoint: Checkpoint,
  groups: readonly Group[],
  precision: Precision,
  home: string,
): Promise<Record<string, Weight>> {
  const direct: Record<string, Weight> = {};
  const converted: Group[] = [];
  for (const group of groups) {
    const [first, ...rest] = group;
    const stays = precision === "fp32" && first && rest.length === 0;
    const place = stays ? placeInCheckpoint(first) : undefined;
    if (place) direct[keyOf(group)] = place;
    else converted.push(group);
  }
  if (converted.length === 0) return direct;
  const lookedUp = weightName(checkpoint.family.embedding);
  const name = `${await checkpoint.fingerprint()}-${precision}-${LAYOUT}.bin`;
  const prepared = preparedWeights(join(home, "weights", name), (writer) => {
    const weights: Record<string, Weight> = {};
    for (const tensors of converted) {
      const columns = tensors[0]?.shape[1] ?? 1;
      const rows = tensors.reduce((sum, { shape }) => sum + (shape[0] ?? 1), 0);
      weights[keyOf(tensors)] = precision === "fp32"
        ? writer.floats(rows, columns, floatPieces(tensors))
        : writer.blocks(rows, blockPieces(tensors, precision, lookedUp));
    }
    return weights;
  });
  return { ...direct, ...prepared };
}

function placeInCheckpoint(
  { type, shape: [rows = 1, columns = 1], file, offset, bytes, interleavedHeads }: TensorLocation,
): Weight | undefined {
  const float = FLOAT_TYPES[type];
  if (!float) return undefined;
  const place = { file, offset, length: bytes };
  return {
    kind: "float",
    type: float,
    rows,
    columns,
    place,
    ...(interleavedHeads === undefined ? {} : { interleavedHeads }),
  };
}
