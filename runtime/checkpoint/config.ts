import type { ModelConfig } from "./checkpoint.ts";
import { type Fields, fieldsOf, named, shown } from "./fields.ts";
import { parseRope } from "./rope_scaling.ts";

/** Model families that the step graph can run. */
export const FAMILIES = ["llama", "mistral", "qwen2", "qwen3"] as const;

type Family = ModelConfig["family"];

/** What surrounds a `config.json`. */
export interface ConfigContext {
  /** File, for messages. */
  readonly path: string;
  /** Contents of `generation_config.json`, if there is one: its token ids come first. */
  readonly generation?: Readonly<Record<string, unknown>>;
  /** Whether the checkpoint has an output matrix of its own; decides if the settings do not. */
  readonly hasOutput: boolean;
}

/** What transformers assumes of a Mistral or Qwen2 checkpoint that does not state its window. */
const DEFAULT_WINDOW = 4096;
/** What transformers assumes of a Qwen3 checkpoint that does not state it. */
const QWEN3_HEAD_DIM = 128;

/**
 * Reads a Hugging Face `config.json`.
 *
 * @throws {CheckpointError} If a setting is missing, malformed or not supported; names it.
 * @example Usage
 * ```ts
 * import { parseConfig } from "./config.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const config = parseConfig({
 *   model_type: "llama",
 *   hidden_size: 64,
 *   num_attention_heads: 4,
 *   num_key_value_heads: 2,
 *   num_hidden_layers: 3,
 *   intermediate_size: 96,
 *   vocab_size: 320,
 *   max_position_embeddings: 512,
 *   rope_scaling: { type: "linear", factor: 4 },
 * }, { path: "config.json", hasOutput: true });
 * assertEquals(config.headDim, 16);
 * assertEquals(config.context, 2048);
 * ```
 */
export function parseConfig(
  settings: Readonly<Record<string, unknown>>,
  { path, generation = {}, hasOutput }: ConfigContext,
): ModelConfig {
  const config = fieldsOf(path, settings);
  const family = familyOf(config);
  refuseUnsupported(config);
  const hidden = config.count("hidden_size");
  const heads = config.count("num_attention_heads");
  const headDim = config.optional("head_dim", config.count) ??
    (family === "qwen3" ? QWEN3_HEAD_DIM : hidden / heads);
  const rope = parseRope(path, config);
  const layers = config.count("num_hidden_layers");
  refuseWindow(family, config, layers, rope.context);
  const generated = fieldsOf(path, generation);
  const eosIds = generated.ids("eos_token_id");
  const [bosId = config.ids("bos_token_id")[0]] = generated.ids("bos_token_id");
  const parsed: ModelConfig = {
    family,
    layers,
    hidden,
    heads,
    kvHeads: config.count("num_key_value_heads", heads),
    headDim,
    intermediate: config.count("intermediate_size"),
    vocabulary: config.count("vocab_size"),
    rmsEpsilon: config.positive("rms_norm_eps", 1e-6),
    ...rope,
    tied: config.flag("tie_word_embeddings") ?? !hasOutput,
    eosIds: eosIds.length > 0 ? eosIds : config.ids("eos_token_id"),
    ...(bosId === undefined ? {} : { bosId }),
  };
  checkHeads(config, parsed);
  return parsed;
}

/**
 * Checks what the attention needs of a config, wherever it came from.
 *
 * @throws {CheckpointError} If heads cannot be grouped or a head cannot be rotated.
 */
export function checkHeads(
  fields: Fields,
  { heads, kvHeads, headDim }: Pick<ModelConfig, "heads" | "kvHeads" | "headDim">,
): void {
  if (heads % kvHeads !== 0) {
    fields.refuse(`${heads} attention heads cannot share ${kvHeads} key-value heads evenly`);
  }
  if (headDim % 2 !== 0) {
    fields.refuse(`the head size is ${headDim}, but rotating needs an even whole number`);
  }
}

function familyOf(config: Fields): Family {
  const type = config.raw("model_type");
  const architectures = config.raw("architectures") ?? [];
  const classes: readonly unknown[] = Array.isArray(architectures)
    ? architectures
    : [architectures];
  const supported = FAMILIES.map((family) => ({ family, name: `${family}forcausallm` }));
  const matches = supported.find(({ family, name }) =>
    (type === undefined || type === family) &&
    (classes.length === 0
      ? type === family
      : classes.some((item) => named(item).toLowerCase() === name))
  );
  if (matches) return matches.family;
  const names = [
    ...classes.slice(0, 8).map(named),
    ...(type === undefined ? [] : [`model type ${named(type)}`]),
  ];
  return config.refuse(
    `its architecture (${names.join(", ") || "not stated"}) is not supported; supported are ` +
      "LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM",
  );
}

function refuseUnsupported(config: Fields): void {
  const activation = config.raw("hidden_act") ?? "silu";
  if (activation !== "silu") {
    config.refuse(`"hidden_act" is ${shown(activation)}, and only "silu" is supported`);
  }
  const quantised = config.raw("quantization_config");
  if (quantised !== undefined) {
    config.refuse(
      'its weights are quantised ("quantization_config"), which is not supported in this format; ' +
        "use the unquantised checkpoint or a GGUF file",
    );
  }
}

function refuseWindow(family: Family, config: Fields, layers: number, context: number): void {
  if (family === "llama") return;
  const mistral = family === "mistral";
  if (!mistral && config.flag("use_sliding_window") !== true) return;
  // Absent means the default, null means none: `optional` cannot tell the two apart.
  const window = config.has("sliding_window")
    ? config.optional("sliding_window", config.count)
    : DEFAULT_WINDOW;
  if (window === undefined || window >= context) return;
  if (!mistral && !slidesSomewhere(config, layers)) return;
  config.refuse(
    `its sliding window of ${window} tokens is smaller than its context of ${context}: ` +
      "every token would see only the window, which this runtime does not do; " +
      "use a checkpoint with full attention",
  );
}

/** Qwen lists the kind of each layer, or slides from layer `max_window_layers` on. */
function slidesSomewhere(config: Fields, layers: number): boolean {
  const types = config.raw("layer_types");
  if (Array.isArray(types)) return types.includes("sliding_attention");
  const first = config.raw("max_window_layers") ?? 28;
  return typeof first !== "number" || first < layers;
}
