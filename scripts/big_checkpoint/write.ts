import { join } from "node:path";
import { ggufHeader, ggufType } from "./gguf_header.ts";
import { f16Matrix, f16Ones, f32Ones, q4Matrix, type TensorBytes } from "./random_bytes.ts";
import type { BigTokenizer } from "./tokenizer.ts";
import { type BigShape, type BigTensor, sizeOf, tensorsOf } from "./shapes.ts";

/** How weights are stored: blocks in a GGUF file, or a Hugging Face folder. */
export type BigFormat = "q4_0" | "f16";

/** Whether a name is that of a format. */
export function isBigFormat(name: string): name is BigFormat {
  return name === "q4_0" || name === "f16";
}

/** Where {@linkcode writeBigCheckpoint} puts a checkpoint. */
function bigCheckpointPath(
  out: string,
  name: string,
  format: BigFormat,
  tokenizer?: BigTokenizer,
): string {
  if (format === "f16") return join(out, `random-${name}-f16`);
  return join(out, `random-${name}${tokenizer ? ".texts" : ""}.q4_0.gguf`);
}

/**
 * Writes a checkpoint of random weights, unless there is one of that name.
 *
 * @param tokenizer For GGUF files. Absent: the checkpoint takes token ids alone.
 * @returns Its path.
 */
export async function writeBigCheckpoint(
  out: string,
  name: string,
  shape: BigShape,
  format: BigFormat,
  tokenizer?: BigTokenizer,
): Promise<string> {
  await Deno.mkdir(out, { recursive: true });
  const path = bigCheckpointPath(out, name, format, tokenizer);
  try {
    await Deno.stat(path);
    return path;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const partial = `${path}.partial`;
  if (format === "q4_0") await writeGguf(partial, shape, tokenizer);
  else await writeFolder(partial, shape);
  await Deno.rename(partial, path);
  return path;
}

async function writeGguf(
  path: string,
  shape: BigShape,
  tokenizer: BigTokenizer | undefined,
): Promise<void> {
  const tensors = tensorsOf(shape);
  const bytes = (tensor: BigTensor) => {
    const size = sizeOf(tensor);
    return ggufType(tensor) === "F32" ? f32Ones(size) : q4Matrix(size, tensor.shape[1] ?? 1);
  };
  const sizes = tensors.map((tensor) =>
    ggufType(tensor) === "F32" ? sizeOf(tensor) * 4 : sizeOf(tensor) / 32 * 18
  );
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  await writeAll(file, ggufHeader(shape, tensors, sizes, tokenizer));
  for (const [index, tensor] of tensors.entries()) {
    await writeTensor(file, bytes(tensor));
    const padding = (32 - (sizes[index] ?? 0) % 32) % 32;
    await writeAll(file, new Uint8Array(padding));
  }
}

async function writeFolder(folder: string, shape: BigShape): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify(settings(shape)));
  const tensors = tensorsOf(shape);
  const header: Record<string, object> = {};
  let offset = 0;
  for (const tensor of tensors) {
    const end = offset + sizeOf(tensor) * 2;
    header[tensor.name] = { dtype: "F16", shape: tensor.shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = JSON.stringify(header);
  // Tensors begin at a multiple of 8 bytes.
  const json = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true);
  const path = join(folder, "model.safetensors");
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  await writeAll(file, length);
  await writeAll(file, json);
  for (const tensor of tensors) {
    const [, width] = tensor.shape;
    const size = sizeOf(tensor);
    await writeTensor(file, width === undefined ? f16Ones(size) : f16Matrix(size, width));
  }
}

function settings(shape: BigShape): object {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: shape.hidden,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    num_hidden_layers: shape.layers,
    intermediate_size: shape.intermediate,
    vocab_size: shape.vocabulary,
    max_position_embeddings: shape.context,
    rms_norm_eps: 1e-5,
    rope_theta: 500_000,
    hidden_act: "silu",
    tie_word_embeddings: false,
    bos_token_id: 0,
    eos_token_id: 1,
  };
}

async function writeTensor(file: Deno.FsFile, bytes: TensorBytes): Promise<void> {
  for (const part of bytes) await writeAll(file, part);
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let from = 0; from < bytes.length;) from += await file.write(bytes.subarray(from));
}
