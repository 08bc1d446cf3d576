/**
 * Writes small random checkpoints for tests: Hugging Face folders and GGUF files of every family.
 *
 * @module
 */
import type { RopeScaling } from "../runtime/checkpoint/checkpoint.ts";
import type { ModelFamily } from "../runtime/checkpoint/families/family.ts";
import { llama } from "../runtime/checkpoint/families/llama.ts";
import { FAMILIES } from "../runtime/checkpoint/families/mod.ts";
import { writeSafetensors } from "../runtime/checkpoint/safetensors.ts";
import type { QuantisedType } from "../runtime/checkpoint/block_groups.ts";
import { randomBlocks } from "./_random_blocks.ts";
import { encodeGguf, type GgufInput, type GgufMetadata, type GgufType } from "./_gguf_writer.ts";
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
  readonly seed?: number;
}

/** A tensor under its Hugging Face name. */
export interface RandomTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

function familyOf({ family }: FullModel): ModelFamily {
  const found = FAMILIES.find(({ name }) => name === family);
  if (!found) throw new RangeError(`No family ${family}`);
  return found;
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
  seed: 1,
} as const;

type FullModel = Required<RandomModel>;

function complete(model: RandomModel): FullModel {
  const full = { ...DEFAULTS, ...model };
  return { ...full, headDim: model.headDim ?? full.hidden / full.heads };
}

/** The weights of a random model by Hugging Face name. The same model gives the same weights. */
export function randomTensors(model: RandomModel = {}): Map<string, RandomTensor> {
  const m = complete(model);
  const { query, queryNorm, keyNorm } = familyOf(m).layer;
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
    norm(`${prefix}.post_attention_layernorm`, m.hidden);
    matrix(`${prefix}.mlp.gate_proj`, m.intermediate, m.hidden);
    matrix(`${prefix}.mlp.up_proj`, m.intermediate, m.hidden);
    matrix(`${prefix}.mlp.down_proj`, m.hidden, m.intermediate);
    if (m.mlpBias) {
      bias(`${prefix}.mlp.gate_proj`, m.intermediate);
      bias(`${prefix}.mlp.up_proj`, m.intermediate);
      bias(`${prefix}.mlp.down_proj`, m.hidden);
    }
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
  const config = { ...huggingFaceConfig(model, form), ...settings };
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
  const tensors = randomTensors(model);
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

function huggingFaceConfig(model: RandomModel, form: "new" | "old"): Record<string, unknown> {
  const m = complete(model);
  const { modelType, architecture, window } = familyOf(m).huggingFace;
  const rope = { rope_type: "default", ...huggingFaceScaling(m.ropeScaling) };
  const { rope_type: type, ...scaling } = rope;
  return {
    architectures: [architecture],
    model_type: modelType,
    hidden_size: m.hidden,
    num_attention_heads: m.heads,
    num_key_value_heads: m.kvHeads,
    num_hidden_layers: m.layers,
    head_dim: m.headDim,
    intermediate_size: m.intermediate,
    vocab_size: m.vocabulary,
    max_position_embeddings: m.context,
    rms_norm_eps: 1e-5,
    hidden_act: "silu",
    tie_word_embeddings: m.tied,
    bos_token_id: 0,
    eos_token_id: m.eosIds.length === 1 ? m.eosIds[0] : m.eosIds,
    ...(window ? { [window.size]: null } : {}),
    ...(form === "new" ? { rope_parameters: { rope_theta: m.ropeTheta, ...rope } } : {
      rope_theta: m.ropeTheta,
      rope_scaling: type === "default" ? null : { type, ...scaling },
    }),
  };
}

function huggingFaceScaling(scaling: RopeScaling): Record<string, unknown> {
  switch (scaling.kind) {
    case "none":
      return {};
    case "linear":
    case "dynamic":
      return { rope_type: scaling.kind, factor: scaling.factor };
    case "llama3":
      return {
        rope_type: "llama3",
        factor: scaling.factor,
        low_freq_factor: scaling.lowFrequencyFactor,
        high_freq_factor: scaling.highFrequencyFactor,
        original_max_position_embeddings: scaling.originalContext,
      };
    case "longrope":
      return {
        rope_type: "longrope",
        short_factor: scaling.shortFactors,
        long_factor: scaling.longFactors,
        original_max_position_embeddings: scaling.originalContext,
        attention_factor: scaling.attentionFactor,
      };
    case "factors":
      throw new RangeError("Hugging Face settings have no list of factors");
  }
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
  const tensors = [...randomTensors(m)].map(([name, { shape, data }]): GgufInput => {
    const ofHeads = interleaved && /\.(q|k)_proj\./.test(name);
    return {
      name: ggufName(name),
      shape,
      type: shape.length === 1 ? "F32" : type,
      data: ofHeads ? interleave(data, shape, m.headDim) : data,
    };
  });
  const factors = ropeFactors(m);
  if (factors) {
    tensors.push({
      name: "rope_freqs.weight",
      shape: [factors.length],
      type: "F32",
      data: factors,
    });
  }
  return tensors;
}

function ropeFactors(m: FullModel): Float32Array | undefined {
  if (m.ropeScaling.kind === "factors") return Float32Array.from(m.ropeScaling.factors);
  if (m.ropeScaling.kind !== "llama3") return undefined;
  const frequencies = (scaling: RopeScaling) =>
    inverseFrequencies({ headDim: m.headDim, ropes: [{ theta: m.ropeTheta, scaling }] });
  const plain = frequencies({ kind: "none" });
  const scaled = frequencies(m.ropeScaling);
  return Float32Array.from(plain, (frequency, index) => frequency / (scaled[index] ?? NaN));
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

/** Converters write a family without a GGUF name of its own as Llama. */
function ggufOf(m: FullModel): NonNullable<ModelFamily["gguf"]> {
  const gguf = familyOf(m).gguf ?? llama.gguf;
  if (!gguf) throw new RangeError("Llama has no name in GGUF");
  return gguf;
}

function ggufMetadata(m: FullModel): GgufMetadata {
  const prefix = ggufOf(m).architecture;
  return {
    "general.architecture": prefix,
    [`${prefix}.block_count`]: m.layers,
    [`${prefix}.context_length`]: m.context,
    [`${prefix}.embedding_length`]: m.hidden,
    [`${prefix}.feed_forward_length`]: m.intermediate,
    [`${prefix}.attention.head_count`]: m.heads,
    [`${prefix}.attention.head_count_kv`]: m.kvHeads,
    [`${prefix}.attention.key_length`]: m.headDim,
    [`${prefix}.attention.value_length`]: m.headDim,
    [`${prefix}.attention.layer_norm_rms_epsilon`]: 1e-5,
    [`${prefix}.rope.freq_base`]: m.ropeTheta,
    ...(m.ropeScaling.kind === "linear"
      ? {
        [`${prefix}.rope.scaling.type`]: "linear",
        [`${prefix}.rope.scaling.factor`]: m.ropeScaling.factor,
      }
      : {}),
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.eos_token_id": m.eosIds[0] ?? 1,
  };
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

function ggufName(name: string): string {
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
