import type { ModelConfig } from "./checkpoint.ts";
import type { ModelFamily } from "./families/family.ts";
import { type Fields, fieldsOf, shown } from "./fields.ts";
import { huggingFaceFamily } from "./find_family.ts";
import { countLayers, parseLayerKinds } from "./layer_kinds.ts";
import { isRecord } from "./read_json.ts";
import { parseRopes } from "./rope_scaling.ts";

/** What surrounds a `config.json`. */
export interface ConfigContext {
  /** File, for messages. */
  readonly path: string;
  /** Contents of `generation_config.json`, if there is one: its token ids come first. */
  readonly generation?: Readonly<Record<string, unknown>>;
  /** Whether the checkpoint has an output matrix of its own; decides if the settings do not. */
  readonly hasOutput: boolean;
  /** The model's family. @default {the one that the settings name} */
  readonly family?: ModelFamily;
}

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
  { path, generation = {}, hasOutput, family = huggingFaceFamily(path, settings) }: ConfigContext,
): ModelConfig {
  const { defaults, queryScalar } = family.huggingFace;
  const config = fieldsOf(path, textSettings(settings), defaults);
  refuseUnsupported(config);
  const hidden = config.count("hidden_size");
  const heads = config.count("num_attention_heads");
  const headDim = config.optional("head_dim", config.count) ?? hidden / heads;
  const { ropes, context } = parseRopes(path, config, family.huggingFace);
  const layers = countLayers(config, "num_hidden_layers");
  const generated = fieldsOf(path, generation);
  const eosIds = generated.ids("eos_token_id");
  const [bosId = config.ids("bos_token_id")[0]] = generated.ids("bos_token_id");
  const parsed: ModelConfig = {
    family: family.name,
    layers,
    hidden,
    heads,
    kvHeads: config.count("num_key_value_heads", heads),
    headDim,
    intermediate: config.count("intermediate_size"),
    vocabulary: config.count("vocab_size"),
    rmsEpsilon: config.positive("rms_norm_eps"),
    context,
    ropes,
    layerKinds: parseLayerKinds(config, family.huggingFace, { layers, context }),
    activation: activationOf(config, family),
    embeddingScale: embeddingScale(family, hidden),
    attentionScale: 1 / Math.sqrt(queryScalar ? config.positive(queryScalar) : headDim),
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

/** What looked-up embeddings are multiplied by. */
export function embeddingScale({ embeddingScale: rule }: ModelFamily, hidden: number): number {
  return rule === "root of hidden" ? Math.sqrt(hidden) : 1;
}

/**
 * Refuses a model that bounds its logits.
 *
 * @throws {CheckpointError} If the setting is there.
 */
export function refuseCapping(fields: Fields, key: string): void {
  const bound = fields.raw(key);
  if (bound === undefined) return;
  fields.refuse(`"${key}" is ${shown(bound)}, and logits that are capped are not supported`);
}

/** Of a multimodal checkpoint, the settings of its text model, and those that only the whole has. */
function textSettings(
  settings: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const { text_config: text, ...whole } = settings;
  return isRecord(text) ? { ...text, ...whole } : settings;
}

const ACTIVATIONS: ReadonlyMap<unknown, ModelConfig["activation"]> = new Map([
  ["silu", "silu"],
  ["gelu_pytorch_tanh", "gelu_tanh"],
]);

function activationOf(config: Fields, { huggingFace }: ModelFamily): ModelConfig["activation"] {
  const key = huggingFace.activation ?? "hidden_act";
  const stated = config.raw(key);
  return ACTIVATIONS.get(stated) ?? config.refuse(
    `"${key}" is ${shown(stated)}, and only ${
      [...ACTIVATIONS.keys()].map(shown).join(" and ")
    } are supported`,
  );
}

function refuseUnsupported(config: Fields): void {
  const quantised = config.raw("quantization_config");
  if (quantised !== undefined) {
    config.refuse(
      'its weights are quantised ("quantization_config"), which is not supported in this format; ' +
        "use the unquantised checkpoint or a GGUF file",
    );
  }
  for (const kind of ["attn", "final"]) refuseCapping(config, `${kind}_logit_softcapping`);
  if (config.flag("use_bidirectional_attention") === true) {
    config.refuse(
      '"use_bidirectional_attention" is true, and tokens that see those behind them are not supported',
    );
  }
}
