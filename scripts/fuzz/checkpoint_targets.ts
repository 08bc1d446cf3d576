import { fileURLToPath } from "node:url";
import { writeSafetensors } from "../../runtime/checkpoint/safetensors.ts";
import { GGUF_MUTATIONS } from "./gguf_mutations.ts";
import { JSON_MUTATIONS } from "./mutate_json.ts";
import { SAFETENSORS_MUTATIONS } from "./safetensors_mutations.ts";
import type { FuzzTarget, Sample } from "./target.ts";
import { useCheckpoint } from "./use_checkpoint.ts";

/** Path of one of the tests' fixtures. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../../tests/fixtures/${name}`, import.meta.url));
}

const CONFIG = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: 16,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  num_hidden_layers: 1,
  head_dim: 8,
  intermediate_size: 16,
  vocab_size: 32,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  hidden_act: "silu",
  tie_word_embeddings: false,
  bos_token_id: 0,
  eos_token_id: [1, 2],
  rope_theta: 10000,
  rope_scaling: {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 32,
  },
};

const SHAPES: Readonly<Record<string, readonly number[]>> = {
  "model.embed_tokens.weight": [32, 16],
  "model.norm.weight": [16],
  "lm_head.weight": [32, 16],
  "model.layers.0.input_layernorm.weight": [16],
  "model.layers.0.self_attn.q_proj.weight": [16, 16],
  "model.layers.0.self_attn.k_proj.weight": [8, 16],
  "model.layers.0.self_attn.v_proj.weight": [8, 16],
  "model.layers.0.self_attn.o_proj.weight": [16, 16],
  "model.layers.0.post_attention_layernorm.weight": [16],
  "model.layers.0.mlp.gate_proj.weight": [16, 16],
  "model.layers.0.mlp.up_proj.weight": [16, 16],
  "model.layers.0.mlp.down_proj.weight": [16, 16],
};

/** Writes a small Llama in two shards, with all the files that a folder may have. */
async function writeFolder(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const json = (name: string, value: unknown) =>
    Deno.writeTextFile(`${folder}/${name}`, JSON.stringify(value));
  const tensors = Object.entries(SHAPES).map(([name, shape], index) => {
    const length = shape.reduce((product, size) => product * size, 1);
    const data = Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + index) / 4);
    return [name, { shape, data, dtype: index % 2 === 0 ? "F32" : "BF16" }] as const;
  });
  const shards = [tensors.slice(0, 4), tensors.slice(4)];
  const weightMap: Record<string, string> = {};
  for (const [index, shard] of shards.entries()) {
    const file = `model-0000${index + 1}-of-00002.safetensors`;
    await writeSafetensors(`${folder}/${file}`, Object.fromEntries(shard), { format: "pt" });
    for (const [name] of shard) weightMap[name] = file;
  }
  await json("model.safetensors.index.json", { metadata: {}, weight_map: weightMap });
  await json("config.json", CONFIG);
  await json("generation_config.json", { bos_token_id: 0, eos_token_id: 2, temperature: 0.6 });
}

function samplesIn(folder: string, names: readonly [string, ...string[]]): [Sample, ...Sample[]] {
  const sample = (name: string): Sample => ({
    path: `${folder}/${name}`,
    bytes: Deno.readFileSync(`${folder}/${name}`),
    open: (draw) => useCheckpoint(folder, draw),
  });
  const [first, ...others] = names;
  return [sample(first), ...others.map(sample)];
}

/** GGUF files, as the package `gguf` writes them. */
export const gguf: FuzzTarget = {
  name: "gguf",
  mutations: GGUF_MUTATIONS,
  async prepare(folder) {
    const sample = async (name: string): Promise<Sample> => {
      const path = `${folder}/${name}`;
      await Deno.copyFile(fixture(`gguf/${name}`), path);
      return { path, bytes: await Deno.readFile(path), open: (draw) => useCheckpoint(path, draw) };
    };
    return [await sample("tiny-sentencepiece.gguf"), await sample("tiny-q4_k_m.gguf")];
  },
};

/** Damages these files of a Hugging Face folder; one that is named twice is drawn twice as often. */
function folderTarget(
  name: string,
  mutations: FuzzTarget["mutations"],
  files: readonly [string, ...string[]],
): FuzzTarget {
  return {
    name,
    mutations,
    async prepare(folder) {
      await writeFolder(folder);
      return samplesIn(folder, files);
    },
  };
}

/** Weights of a Hugging Face folder. */
export const safetensors = folderTarget("safetensors", SAFETENSORS_MUTATIONS, [
  "model-00001-of-00002.safetensors",
  "model-00002-of-00002.safetensors",
]);

/** The settings of a Hugging Face folder. */
export const config = folderTarget("config.json", JSON_MUTATIONS, [
  "config.json",
  "config.json",
  "config.json",
  "generation_config.json",
  "model.safetensors.index.json",
]);
