import { CheckpointError } from "../errors.ts";
import type { ModelConfig, TensorLocation } from "./checkpoint.ts";

/** A tensor that a model of a given config has, or may have. */
export interface TensorNeed {
  /** Hugging Face name. */
  readonly name: string;
  /** Outermost dimension first. */
  readonly shape: readonly number[];
  /** May be absent, but then in every layer. */
  readonly optional: boolean;
}

/**
 * Lists the tensors of a model, layer by layer.
 *
 * A generator, so that a damaged config with a billion layers costs nothing: the first missing
 * tensor ends it.
 */
export function* neededTensors(config: ModelConfig): Generator<TensorNeed> {
  const { hidden, vocabulary } = config;
  const need = (name: string, ...shape: number[]) => ({ name, shape, optional: false });
  yield need("model.embed_tokens.weight", vocabulary, hidden);
  yield need("model.norm.weight", hidden);
  if (!config.tied) yield need("lm_head.weight", vocabulary, hidden);
  const inLayer = layerTensors(config);
  for (let layer = 0; layer < config.layers; layer++) {
    for (const { name, ...rest } of inLayer) {
      yield { name: `model.layers.${layer}.${name}`, ...rest };
    }
  }
}

/**
 * Picks the tensors that a model needs and checks them.
 *
 * @param path Checkpoint, for messages.
 * @param config What the model is.
 * @param found Tensors of the checkpoint by Hugging Face name. `locate` is asked only for those that
 * are needed, so that an exotic format of an unused tensor does no harm.
 * @throws {CheckpointError} If a tensor is missing, has another shape, or belongs to the model's
 * layers without being known.
 */
export function selectTensors<T extends { readonly shape: readonly number[] }>(
  path: string,
  config: ModelConfig,
  found: ReadonlyMap<string, T>,
  locate: (name: string, tensor: T) => TensorLocation,
): ReadonlyMap<string, TensorLocation> {
  const selected = new Map<string, TensorLocation>();
  for (const { name, shape, optional } of neededTensors(config)) {
    const tensor = found.get(name);
    if (!tensor) {
      if (optional && !found.has(inFirstLayer(name))) continue;
      throw new CheckpointError(
        `Cannot open ${path}: tensor "${name}" is missing; the checkpoint is incomplete or not a ` +
          `${config.family} model with ${config.layers} layers.`,
      );
    }
    if (optional && !found.has(inFirstLayer(name))) {
      throw new CheckpointError(
        `Cannot open ${path}: tensor "${name}" is there but "${inFirstLayer(name)}" is missing.`,
      );
    }
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
      throw new CheckpointError(
        `Cannot open ${path}: tensor "${name}" has shape [${tensor.shape.join(", ")}], ` +
          `but the settings ask for [${shape.join(", ")}].`,
      );
    }
    selected.set(name, locate(name, tensor));
  }
  refuseUnknown(path, config, found.keys(), selected);
  return selected;
}

function layerTensors(config: ModelConfig): readonly TensorNeed[] {
  const { family, hidden, headDim, intermediate } = config;
  const queries = config.heads * headDim;
  const keys = config.kvHeads * headDim;
  const need = (name: string, ...shape: number[]) => ({ name, shape, optional: false });
  const maybe = (name: string, ...shape: number[]) => ({ name, shape, optional: true });
  const bias = family === "qwen2" ? need : maybe;
  return [
    need("input_layernorm.weight", hidden),
    need("self_attn.q_proj.weight", queries, hidden),
    need("self_attn.k_proj.weight", keys, hidden),
    need("self_attn.v_proj.weight", keys, hidden),
    need("self_attn.o_proj.weight", hidden, queries),
    bias("self_attn.q_proj.bias", queries),
    bias("self_attn.k_proj.bias", keys),
    bias("self_attn.v_proj.bias", keys),
    maybe("self_attn.o_proj.bias", hidden),
    ...(family === "qwen3"
      ? [need("self_attn.q_norm.weight", headDim), need("self_attn.k_norm.weight", headDim)]
      : []),
    need("post_attention_layernorm.weight", hidden),
    need("mlp.gate_proj.weight", intermediate, hidden),
    need("mlp.up_proj.weight", intermediate, hidden),
    need("mlp.down_proj.weight", hidden, intermediate),
    maybe("mlp.gate_proj.bias", intermediate),
    maybe("mlp.up_proj.bias", intermediate),
    maybe("mlp.down_proj.bias", hidden),
  ];
}

function inFirstLayer(name: string): string {
  return name.replace(/^model\.layers\.\d+\./, "model.layers.0.");
}

/** A tensor of a layer that the model would not use means another architecture: silent garbage. */
function refuseUnknown(
  path: string,
  config: ModelConfig,
  names: Iterable<string>,
  selected: ReadonlyMap<string, unknown>,
): void {
  for (const name of names) {
    if (selected.has(name) || name.endsWith(".rotary_emb.inv_freq")) continue;
    const layer = /^(?:model\.layers|blk)\.(\d+)\./.exec(name)?.[1];
    // Layers past the last one are extra heads for drafting.
    if (layer === undefined ? name !== "lm_head.bias" : Number(layer) >= config.layers) continue;
    throw new CheckpointError(
      `Cannot open ${path}: tensor "${name}" is not part of a ${config.family} model, ` +
        "so its output would be wrong without it.",
    );
  }
}
