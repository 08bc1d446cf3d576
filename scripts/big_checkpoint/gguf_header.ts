import type { BigShape, BigTensor } from "./shapes.ts";
import type { BigTokenizer } from "./tokenizer.ts";

const TYPE_NUMBERS = { F32: 0, Q4_0: 2 } as const;

/** Norms stay floats. */
export function ggufType({ shape }: BigTensor): keyof typeof TYPE_NUMBERS {
  return shape.length === 1 ? "F32" : "Q4_0";
}

const NAMES: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens/, "token_embd"],
  [/^model\.norm/, "output_norm"],
  [/^lm_head/, "output"],
  [/^model\.layers/, "blk"],
  [/input_layernorm/, "attn_norm"],
  [/post_attention_layernorm/, "ffn_norm"],
  [/self_attn\.([qkv])_proj/, "attn_$1"],
  [/self_attn\.o_proj/, "attn_output"],
  [/mlp\.(\w+)_proj/, "ffn_$1"],
];

/**
 * What stands before the tensors of a GGUF file, padded.
 *
 * @param sizes Bytes of each tensor.
 * @param tokenizer Absent: texts cannot be read, token ids can.
 */
export function ggufHeader(
  shape: BigShape,
  tensors: readonly BigTensor[],
  sizes: readonly number[],
  tokenizer?: BigTokenizer,
): Uint8Array {
  const metadata = [...metadataOf(shape), ...(tokenizer ? tokenizerEntries(tokenizer) : [])];
  const parts: Uint8Array[] = [
    new TextEncoder().encode("GGUF"),
    u32(3),
    u64(tensors.length),
    u64(metadata.length),
  ];
  for (const [key, type, value] of metadata) parts.push(text(key), u32(type), value);
  let offset = 0;
  for (const [index, tensor] of tensors.entries()) {
    const name = NAMES.reduce((renamed, [from, to]) => renamed.replace(from, to), tensor.name);
    parts.push(text(name), u32(tensor.shape.length), ...[...tensor.shape].reverse().map(u64));
    parts.push(u32(TYPE_NUMBERS[ggufType(tensor)]), u64(offset));
    offset += padded(sizes[index] ?? 0);
  }
  const header = joined(parts);
  return joined([header, new Uint8Array(padded(header.length) - header.length)]);
}

type Entry = readonly [key: string, type: number, value: Uint8Array];

function metadataOf(shape: BigShape): Entry[] {
  const [U32, F32, TEXT] = [4, 6, 8];
  const count = (key: string, value: number): Entry => [`llama.${key}`, U32, u32(value)];
  const real = (key: string, value: number): Entry => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return [`llama.${key}`, F32, bytes];
  };
  const headDim = shape.hidden / shape.heads;
  return [
    ["general.architecture", TEXT, text("llama")],
    count("block_count", shape.layers),
    count("context_length", shape.context),
    count("embedding_length", shape.hidden),
    count("feed_forward_length", shape.intermediate),
    count("attention.head_count", shape.heads),
    count("attention.head_count_kv", shape.kvHeads),
    count("attention.key_length", headDim),
    count("attention.value_length", headDim),
    real("attention.layer_norm_rms_epsilon", 1e-5),
    real("rope.freq_base", 500_000),
    ["tokenizer.ggml.bos_token_id", U32, u32(0)],
    ["tokenizer.ggml.eos_token_id", U32, u32(1)],
  ];
}

function tokenizerEntries({ pre, tokens, types, merges }: BigTokenizer): Entry[] {
  const [I32, TEXT, ARRAY] = [5, 8, 9];
  const array = (type: number, values: readonly Uint8Array[]) =>
    joined([u32(type), u64(values.length), ...values]);
  return [
    ["tokenizer.ggml.model", TEXT, text("gpt2")],
    ["tokenizer.ggml.pre", TEXT, text(pre)],
    ["tokenizer.ggml.tokens", ARRAY, array(TEXT, tokens.map(text))],
    ["tokenizer.ggml.token_type", ARRAY, array(I32, types.map(u32))],
    ["tokenizer.ggml.merges", ARRAY, array(TEXT, merges.map(text))],
  ];
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function padded(length: number): number {
  return Math.ceil(length / 32) * 32;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  const all = new Uint8Array(8 + bytes.length);
  all.set(u64(bytes.length));
  all.set(bytes, 8);
  return all;
}
