/**
 * Writes small random checkpoints for tests: Hugging Face folders and GGUF files of every family.
 *
 * @module
 */
import type { RopeScaling } from "../runtime/checkpoint/checkpoint.ts";
import { writeSafetensors } from "../runtime/checkpoint/safetensors.ts";
import type { QuantisedType } from "../runtime/checkpoint/block_groups.ts";
import { randomBlocks } from "./_random_blocks.ts";
import { encodeGguf, type GgufInput, type GgufMetadata, type GgufType } from "./_gguf_writer.ts";
import {
  familyOf,
  type FullModel,
  ggufMetadata,
  ggufOf,
  huggingFaceConfig,
} from "./_random_settings.ts";
import { inverseFrequencies } from "./_reference_model.ts";

/** What model to make; every field has a default. */
export interface RandomModel {
  /** Name of one of the families. @default {"llama"} */
  readonly family?: string;
  readonly layers?: number;
  readonly hidden?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly headDim?: number;
  readonly intermediate?: number;
  readonly vocabulary?: number;
  /** `max_position_embeddings`: with linear and dynamic scaling the context before it. */
  readonly context?: number;
  readonly ropeTheta?: number;
  readonly ropeScaling?: RopeScaling;
  readonly tied?: boolean;
  /** Biases on q, k and v and, except where those are always there (Qwen2), on o. */
  readonly attentionBias?: boolean;
  readonly mlpBias?: boolean;
  readonly eosIds?: readonly number[];
  /** Window of layers that slide, in families that may have one. @default {none} */
  readonly window?: number | null;
  /** Gemma: every so-manieth layer is a global one. */
  readonly globalEvery?: number;
  /** Gemma: what queries are scaled by. @default {the head size} */
  readonly queryScalar?: number | null;
  readonly seed?: number;
}

/** A tensor under its Hugging Face name. */
export interface RandomTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

const DEFAULTS = {
  family: "llama",
  layers: 2,
  hidden: 32,
  heads: 4,
  kvHeads: 2,
  intermediate: 64,
  vocabulary: 80,
  context: 256,
  ropeTheta: 10_000,
  ropeScaling: { kind: "none" },
  tied: false,
  attentionBias: false,
  mlpBias: false,
  eosIds: [1],
  window: null,
  globalEvery: 2,
  queryScalar: null,
  seed: 1,
} as const;

function complete(model: RandomModel): FullModel {
  const full = { ...DEFAULTS, ...model };
  return { ...full, headDim: model.headDim ?? full.hidden / full.heads };
}

/** The weights of a random model by Hugging Face name. The same model gives the same weights. */
export function randomTensors(model: RandomModel = {}): Map<string, RandomTensor> {
  const m = complete(model);
  const { query, queryNorm, keyNorm, mlpNorm, attentionOutputNorm, mlpOutputNorm } =
    familyOf(m).layer;
  const random = normal(m.seed);
  const tensors = new Map<string, RandomTensor>();
  const add = (name: string, shape: readonly number[], mean: number, deviation: number) => {
    const length = shape.reduce((a, b) => a * b, 1);
    const data = Float32Array.from({ length }, () => mean + deviation * random());
    tensors.set(name, { shape, data });
  };
  const matrix = (name: string, rows: number, width: number) =>
    add(`${name}.weight`, [rows, width], 0, 1.5 / Math.sqrt(width));
  const bias = (name: string, rows: number) => add(`${name}.bias`, [rows], 0, 0.3);
  const norm = (name: string, width: number) => add(`${name}.weight`, [width], 1, 0.1);

  add("model.embed_tokens.weight", [m.vocabulary, m.hidden], 0, 1);
  const [queries, keys] = [m.heads * m.headDim, m.kvHeads * m.headDim];
  for (let layer = 0; layer < m.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    norm(`${prefix}.input_layernorm`, m.hidden);
    matrix(`${prefix}.self_attn.q_proj`, queries, m.hidden);
    matrix(`${prefix}.self_attn.k_proj`, keys, m.hidden);
    matrix(`${prefix}.self_attn.v_proj`, keys, m.hidden);
    matrix(`${prefix}.self_attn.o_proj`, m.hidden, queries);
    if (m.attentionBias || query.bias === "required") {
      bias(`${prefix}.self_attn.q_proj`, queries);
      bias(`${prefix}.self_attn.k_proj`, keys);
      bias(`${prefix}.self_attn.v_proj`, keys);
      if (query.bias !== "required") bias(`${prefix}.self_attn.o_proj`, m.hidden);
    }
    if (queryNorm) norm(`${prefix}.self_attn.q_norm`, m.headDim);
    if (keyNorm) norm(`${prefix}.self_attn.k_norm`, m.headDim);
    if (attentionOutputNorm) norm(`${prefix}.${attentionOutputNorm.huggingFace}`, m.hidden);
    norm(`${prefix}.${mlpNorm.huggingFace}`, m.hidden);
    matrix(`${prefix}.mlp.gate_proj`, m.intermediate, m.hidden);
    matrix(`${prefix}.mlp.up_proj`, m.intermediate, m.hidden);
    matrix(`${prefix}.mlp.down_proj`, m.hidden, m.intermediate);
    if (m.mlpBias) {
      bias(`${prefix}.mlp.gate_proj`, m.intermediate);
      bias(`${prefix}.mlp.up_proj`, m.intermediate);
      bias(`${prefix}.mlp.down_proj`, m.hidden);
    }
    if (mlpOutputNorm) norm(`${prefix}.${mlpOutputNorm.huggingFace}`, m.hidden);
  }
  norm("model.norm", m.hidden);
  if (!m.tied) matrix("lm_head", m.vocabulary, m.hidden);
  return tensors;
}

/** How to write a Hugging Face folder. */
export interface FolderOptions {
  readonly dtype?: "F32" | "F16" | "BF16";
  /** More than 1 writes shards and their index. @default {1} */
  readonly shards?: number;
  /** Settings in the form of transformers 5, or the one before. @default {"new"} */
  readonly form?: "new" | "old";
  /** Settings that replace or add to those of `config.json`; `undefined` removes one. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Changes the tensors before they are written. */
  readonly edit?: (tensors: Map<string, RandomTensor>) => void;
}

/** Writes a Hugging Face folder (which must exist). */
export async function writeFolder(
  folder: string,
  model: RandomModel = {},
  { dtype = "F32", shards = 1, form = "new", settings = {}, edit }: FolderOptions = {},
): Promise<void> {
  const config = { ...huggingFaceConfig(complete(model), form), ...settings };
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
  const tensors = stored(complete(model));
  edit?.(tensors);
  const entries = [...tensors].map(([name, tensor]) => [name, { ...tensor, dtype }] as const);
  if (shards === 1) {
    return await writeSafetensors(`${folder}/model.safetensors`, Object.fromEntries(entries));
  }
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const number = (index: number) => String(index).padStart(5, "0");
    const name = `model-${number(shard + 1)}-of-${number(shards)}.safetensors`;
    const part = entries.filter((_, index) => index % shards === shard);
    for (const [tensor] of part) weightMap[tensor] = name;
    await writeSafetensors(`${folder}/${name}`, Object.fromEntries(part));
  }
  const index = JSON.stringify({ metadata: {}, weight_map: weightMap });
  await Deno.writeTextFile(`${folder}/model.safetensors.index.json`, index);
}

/** Tensors as files store them: norms less what the family says, matrices fused. */
function stored(m: FullModel, names: "huggingFace" | "gguf" = "huggingFace") {
  const { fused = [], layer: roles, huggingFace: { normOffset = 0 } } = familyOf(m);
  const tensors = randomTensors(m);
  if (names === "huggingFace") {
    for (const [name, { shape, data }] of tensors) {
      if (!name.endsWith("norm.weight")) continue;
      tensors.set(name, { shape, data: data.map((factor) => factor - normOffset) });
    }
  }
  for (let layer = 0; layer < m.layers; layer++) {
    const prefix = `model.layers.${layer}.`;
    for (const { huggingFace, parts } of fused) {
      const found = parts.map((role) => {
        const name = `${prefix}${roles[role].huggingFace}.weight`;
        const tensor = tensors.get(name);
        tensors.delete(name);
        return tensor ?? { shape: [], data: new Float32Array() };
      });
      tensors.set(`${prefix}${huggingFace}.weight`, {
        shape: [found.reduce((rows, { shape }) => rows + (shape[0] ?? 0), 0), m.hidden],
        data: Float32Array.from(found.flatMap(({ data }) => [...data])),
      });
    }
  }
  return tensors;
}

/** How to write a GGUF file. */
export interface GgufOptions {
  /** Format of the matrices; vectors are F32. @default {"F32"} */
  readonly type?: GgufType;
  /** Formats of matrices that get random blocks of their own instead of the model's numbers. */
  readonly blocks?: (ggufName: string) => QuantisedType | undefined;
  /** Metadata that replaces or adds to the model's own. */
  readonly metadata?: GgufMetadata;
  /** Changes the tensors before they are encoded. */
  readonly edit?: (tensors: GgufInput[]) => void;
}

/**
 * Writes a GGUF file as llama.cpp's converter does: Mistral as `llama`, query and key rows of `llama`
 * interleaved, and llama3 scaling as `rope_freqs.weight`.
 */
export async function writeGguf(
  path: string,
  model: RandomModel = {},
  { type = "F32", metadata = {}, edit, blocks = () => undefined }: GgufOptions = {},
): Promise<void> {
  const m = complete(model);
  const tensors = ggufTensors(m, type);
  edit?.(tensors);
  const stored = tensors.map((tensor, index) => {
    const own = tensor.shape.length === 2 ? blocks(tensor.name) : undefined;
    return own === undefined ? tensor : withBlocks(tensor, own, m.seed + index);
  });
  await Deno.writeFile(path, encodeGguf({ ...ggufMetadata(m), ...metadata }, stored));
}

function withBlocks({ name, shape, data }: GgufInput, type: QuantisedType, seed: number) {
  const deviation = name === "token_embd.weight" ? 1 : 1.5 / Math.sqrt(shape[1] ?? 1);
  return { name, shape, type, blocks: randomBlocks(type, data.length, deviation, seed) };
}

function ggufTensors(m: FullModel, type: GgufType): GgufInput[] {
  const { interleaved } = ggufOf(m);
  const tensors = [...stored(m, "gguf")].map(([name, { shape, data }]): GgufInput => {
    const ofHeads = interleaved && /\.(q|k)_proj\./.test(name);
    return {
      name: ggufName(name, m),
      shape,
      type: shape.length === 1 ? "F32" : type,
      data: ofHeads ? interleave(data, shape, m.headDim) : data,
    };
  });
  for (const [name, factors] of Object.entries(ropeFactors(m))) {
    tensors.push({ name, shape: [factors.length], type: "F32", data: Float32Array.from(factors) });
  }
  return tensors;
}

function ropeFactors({ ropeScaling, headDim, ropeTheta }: FullModel) {
  switch (ropeScaling.kind) {
    case "factors":
      return { "rope_freqs.weight": ropeScaling.factors };
    case "longrope":
      return {
        "rope_factors_short.weight": ropeScaling.shortFactors,
        "rope_factors_long.weight": ropeScaling.longFactors,
      };
    case "llama3": {
      const frequencies = (scaling: RopeScaling) =>
        inverseFrequencies({ headDim, ropes: [{ theta: ropeTheta, scaling }] });
      const plain = frequencies({ kind: "none" });
      const scaled = frequencies(ropeScaling);
      return { "rope_freqs.weight": plain.map((value, i) => value / (scaled[i] ?? NaN)) };
    }
  }
  return {};
}

/** Per head, `[2, headDim / 2]` rows to `[headDim / 2, 2]`. */
function interleave(data: Float32Array, shape: readonly number[], headDim: number): Float32Array {
  const rows = shape[0] ?? 0;
  const width = data.length / rows;
  const stored = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    const inHead = row % headDim;
    const [half, index] = [Math.floor(inHead / (headDim / 2)), inHead % (headDim / 2)];
    const to = row - inHead + 2 * index + half;
    stored.set(data.subarray(row * width, (row + 1) * width), to * width);
  }
  return stored;
}

const GGUF_NAMES: readonly (readonly [from: RegExp | string, to: string])[] = [
  ["model.embed_tokens", "token_embd"],
  ["model.norm", "output_norm"],
  ["lm_head", "output"],
  ["model.layers", "blk"],
  ["input_layernorm", "attn_norm"],
  ["post_attention_layernorm", "ffn_norm"],
  [/self_attn\.([qkv])_proj/, "attn_$1"],
  [/self_attn\.([qk])_norm/, "attn_$1_norm"],
  ["self_attn.o_proj", "attn_output"],
  [/mlp\.(\w+)_proj/, "ffn_$1"],
];

function ggufName(name: string, m: FullModel): string {
  const { layer, fused = [] } = familyOf(m);
  const [, number, part = ""] = /^model\.layers\.(\d+)\.(.*)\.weight$/.exec(name) ?? [];
  const found = [...fused, ...Object.values(layer)].find(({ huggingFace }) => huggingFace === part);
  if (number !== undefined && found) return `blk.${number}.${found.gguf}.weight`;
  return GGUF_NAMES.reduce((renamed, [from, to]) => renamed.replace(from, to), name);
}

/** Normally distributed numbers from a seed (mulberry32 and Box–Muller). */
function normal(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
