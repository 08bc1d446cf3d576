/** A size of a model; shapes are written in these. `queries` and `keys` are all heads side by side. */
export type SizeName = "vocabulary" | "hidden" | "queries" | "keys" | "headDim" | "intermediate";

/** A tensor of a family: its names and its shape. */
export interface FamilyTensor {
  /** Name in Hugging Face checkpoints without `.weight`; in a layer, what follows `model.layers.N.`. */
  readonly huggingFace: string;
  /** Name in GGUF files without `.weight`; in a layer, what follows `blk.N.`. */
  readonly gguf: string;
  /** Outermost dimension first. */
  readonly shape: readonly SizeName[];
  /** Whether a bias must be there, or may be (then in every layer). Absent: there is none. */
  readonly bias?: "required" | "optional";
}

/** Tensors of a layer that every family has. */
export type LayerRole =
  | "attentionNorm"
  | "query"
  | "key"
  | "value"
  | "attentionOutput"
  | "mlpNorm"
  | "gate"
  | "up"
  | "down";

/** Tensors of a layer that some families have: norms of each query and key head. */
export type OptionalLayerRole = "queryNorm" | "keyNorm";

/** The tensors of one layer by what they do. */
export type LayerTensors =
  & Readonly<Record<LayerRole, FamilyTensor>>
  & { readonly [Role in OptionalLayerRole]?: FamilyTensor };

/** Which layers see only a window of the last tokens, in the names of `config.json`. */
export interface WindowRule {
  /** Setting with the window's tokens; null means that there is none. */
  readonly size: string;
  /** Setting that must be true for any layer to have a window. Absent: none is needed. */
  readonly enabledBy?: string;
  /** Setting that lists each layer's kind, `sliding_attention` for those with a window. */
  readonly kinds?: string;
  /** Setting that numbers the first layer with a window, where kinds are not listed. Absent: 0. */
  readonly from?: string;
}

/**
 * A family of models as data: names in files, tensors that must be there, what settings default to,
 * which layers have windows. What reads, checks and refuses checkpoints follows from it.
 *
 * How it grows, each time by a field here and one place that reads it:
 * - Another tensor (a norm after a block, fused `qkv` or gate and up) is a role of `layer`; the graph
 *   acts on the roles that are there.
 * - How a format stores something (norm weights less 1) is a field of `huggingFace` or `gguf`.
 * - How layers compute (activation, scale of the embeddings, RoPE by kind of layer) is a field beside
 *   `layer`.
 * - What a setting is where it is not stated needs no field: `defaults` are settings of `config.json`.
 */
export interface ModelFamily {
  /** As `config.family` has it, for example `qwen3`. */
  readonly name: string;
  /** As people write it: "Qwen3". */
  readonly title: string;
  /** How Hugging Face checkpoints store it. */
  readonly huggingFace: {
    /** `model_type` in `config.json`. */
    readonly modelType: string;
    /** Class in `architectures`. */
    readonly architecture: string;
    /** What transformers assumes of settings that `config.json` does not state. */
    readonly defaults: Readonly<Record<string, unknown>>;
    /** Absent: every layer sees the whole text. */
    readonly window?: WindowRule;
  };
  /** How GGUF files store it. Absent: under the name of another family, which it equals there. */
  readonly gguf?: {
    /** `general.architecture`. */
    readonly architecture: string;
    /** Rows of queries and keys lie interleaved, for ggml's own RoPE. */
    readonly interleaved: boolean;
  };
  /** The matrix whose rows are the tokens' embeddings. */
  readonly embedding: FamilyTensor;
  /** The norm after the last layer. */
  readonly finalNorm: FamilyTensor;
  /** The output matrix of models that are not tied. */
  readonly output: FamilyTensor;
  /** What each layer holds. */
  readonly layer: LayerTensors;
}
