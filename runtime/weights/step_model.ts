import { join } from "node:path";
import type { Linear, StepModel } from "../../kernels/step_graph.ts";
import type { Arithmetic, FloatWeight, Weight } from "../../kernels/weight.ts";
import type { Checkpoint, TensorLocation } from "../checkpoint/checkpoint.ts";
import { readRows } from "../checkpoint/read_rows.ts";
import { CheckpointError } from "../errors.ts";
import { type Blocks, quantiseBlocks, stackBlocks } from "./blocks.ts";
import { exactBlocks } from "./exact_blocks.ts";
import { isHeldExactly } from "./holding.ts";
import type { Precision } from "./precisions.ts";
import { preparedWeights, type WeightWriter } from "./prepared_file.ts";
import { readRawRows } from "./raw_rows.ts";

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
  readonly prefillArithmetic: Arithmetic;
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
  { precision, prefillArithmetic, home }: StepModelOptions,
): Promise<StepModel> {
  const { config } = checkpoint;
  const layers = Array.from(
    { length: config.layers },
    (_, layer) => layerNames(checkpoint, layer, precision),
  );
  const groups = [
    ["model.embed_tokens.weight"],
    ...(config.tied ? [] : [["lm_head.weight"]]),
    ...layers.flatMap(({ qkv, single }) => [...qkv, ...single.map((name) => [name])]),
  ];
  const weights = await collectWeights(checkpoint, groups, precision, home);
  const weight = (group: readonly string[]): Weight => {
    const found = weights[group.join("+")];
    if (!found) throw new CheckpointError(`Cannot find the weight ${group.join(", ")}`);
    return found;
  };
  const vector = (name: string) => readRows(tensorOf(checkpoint, name));
  const linear = (...names: string[]): Linear => {
    const biases = names.map((name) => checkpoint.tensors.get(name.replace(/weight$/, "bias")));
    const present = biases.filter((bias) => bias !== undefined);
    const bias = present.flatMap((tensor) => [...readRows(tensor)]);
    return { weight: weight(names), ...(bias.length > 0 ? { bias: Float32Array.from(bias) } : {}) };
  };
  return {
    ...config,
    prefillArithmetic,
    embedding: weight(["model.embed_tokens.weight"]),
    ...(config.tied ? {} : { output: weight(["lm_head.weight"]) }),
    finalNorm: vector("model.norm.weight"),
    layers: layers.map(({ prefix, qkv }) => ({
      attentionNorm: vector(`${prefix}.input_layernorm.weight`),
      qkv: qkv.map((names) => linear(...names)),
      ...(config.family === "qwen3"
        ? {
          queryNorm: vector(`${prefix}.self_attn.q_norm.weight`),
          keyNorm: vector(`${prefix}.self_attn.k_norm.weight`),
        }
        : {}),
      attentionOutput: linear(`${prefix}.self_attn.o_proj.weight`),
      mlpNorm: vector(`${prefix}.post_attention_layernorm.weight`),
      gate: linear(`${prefix}.mlp.gate_proj.weight`),
      up: linear(`${prefix}.mlp.up_proj.weight`),
      down: linear(`${prefix}.mlp.down_proj.weight`),
    })),
  };
}

interface LayerNames {
  readonly prefix: string;
  /** Products that become one because their weights are of one type. */
  readonly qkv: readonly (readonly string[])[];
  readonly single: readonly string[];
}

function layerNames(checkpoint: Checkpoint, layer: number, precision: Precision): LayerNames {
  const prefix = `model.layers.${layer}`;
  const qkv = ["q_proj", "k_proj", "v_proj"].map((name) => `${prefix}.self_attn.${name}.weight`);
  const types = new Set(qkv.map((name) => tensorOf(checkpoint, name).type));
  // Floats stay in the checkpoint, where the three matrices are apart.
  const stays = precision === "fp32" && [...types].every((type) => FLOAT_TYPES[type]);
  const single = ["self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
    .map((name) => `${prefix}.${name}.weight`);
  return { prefix, qkv: types.size === 1 && !stays ? [qkv] : qkv.map((name) => [name]), single };
}

/**
 * Where a tensor lies.
 *
 * @throws {CheckpointError} If the checkpoint has none of that name.
 */
export function tensorOf(checkpoint: Checkpoint, name: string): TensorLocation {
  const tensor = checkpoint.tensors.get(name);
  if (!tensor) throw new CheckpointError(`Cannot find the tensor ${name} in ${checkpoint.path}`);
  return tensor;
}

async function collectWeights(
  checkpoint: Checkpoint,
  groups: readonly (readonly string[])[],
  precision: Precision,
  home: string,
): Promise<Record<string, Weight>> {
  const direct: Record<string, Weight> = {};
  const converted: (readonly string[])[] = [];
  for (const group of groups) {
    const place = precision === "fp32" && group.length === 1
      ? placeInCheckpoint(tensorOf(checkpoint, group[0] ?? ""))
      : undefined;
    if (place) direct[group.join("+")] = place;
    else converted.push(group);
  }
  if (converted.length === 0) return direct;
  const name = `${await checkpoint.fingerprint()}-${precision}-${LAYOUT}.bin`;
  const prepared = preparedWeights(join(home, "weights", name), (writer) => {
    const weights: Record<string, Weight> = {};
    for (const group of converted) {
      const tensors = group.map((member) => tensorOf(checkpoint, member));
      weights[group.join("+")] = precision === "fp32"
        ? widen(tensors, writer)
        : writer.blocks(stackBlocks(tensors.map((tensor) => toBlocks(tensor, precision))));
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

function widen(tensors: readonly TensorLocation[], writer: WeightWriter): Weight {
  const columns = tensors[0]?.shape[1] ?? 1;
  const rows = tensors.reduce((sum, { shape }) => sum + (shape[0] ?? 1), 0);
  const data = new Float32Array(rows * columns);
  let at = 0;
  for (const tensor of tensors) {
    const part = readRows(tensor);
    data.set(part, at);
    at += part.length;
  }
  return writer.floats(data, rows, columns);
}

function toBlocks(tensor: TensorLocation, precision: "int8" | "int4"): Blocks {
  const [rows = 1, columns = 1] = tensor.shape;
  if (isHeldExactly(tensor, precision)) {
    return exactBlocks(tensor.type, readRawRows(tensor), rows, columns);
  }
  return quantiseBlocks(readRows(tensor), rows, columns);
}
