import type { Activation } from "../../../kernels/step_model.ts";

/** A size of a model; shapes are written in these. `queries` and `keys` are all heads side by side. */
export type SizeName = "vocabulary" | "hidden" | "queries" | "keys" | "headDim" | "intermediate";

/** A tensor of a family: its names and its shape. */
export interface FamilyTensor {
  /** Name in Hugging Face checkpoints without `.weight`; in a layer, what follows `model.layers.N.`. */
  readonly huggingFace: string;
  /** Name in GGUF files without `.weight`; in a layer, what follows `blk.N.`. */
  readonly gguf: string;
  /** Outermost dimension first. */
  readonly shape: readonly [SizeName, ...SizeName[]];
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

/**
 * Tensors of a layer that some families have: norms of each query and key head, and of what a block
 * gives before it is added to the stream.
 */
export type OptionalLayerRole =
  | "queryNorm"
  | "keyNorm"
  | "attentionOutputNorm"
  | "mlpOutputNorm";

/** The tensors of one layer by what they do. */
export type LayerTensors =
  & Readonly<Record<LayerRole, FamilyTensor>>
  & { readonly [Role in OptionalLayerRole]?: FamilyTensor };

/** Matrices of a layer that files store as one, their rows below one another. */
export interface FusedTensor {
  /** As in {@linkcode FamilyTensor}. */
  readonly huggingFace: string;
  /** As in {@linkcode FamilyTensor}. */
  readonly gguf: string;
  /** What it holds, from the first row on. */
  readonly parts: readonly LayerRole[];
}

/** Which layers see only a window of the last tokens, in the names of `config.json`. */
export interface WindowRule {
  /** Setting with the window's tokens; null means that there is none. */
  readonly size: string;
  /** Setting that must be true for any layer to have a window. Absent: none is needed. */
  readonly enabledBy?: string;
  /** Setting that lists each layer's kind, `sliding_attention` or `full_attention`. */
  readonly kinds?: string;
  /** Setting that numbers the first layer with a window, where kinds are not listed. Absent: 0. */
  readonly from?: string;
  /** Settings of which the first that is there says that every so-manieth layer is a global one. */
  readonly globalEvery?: readonly string[];
  /** Where kinds are not listed, only layers that are not rotated have a window. */
  readonly unrotatedOnly?: boolean;
}

/**
 * A family of models as data: names in files, tensors that must be there, what settings default to,
 * how layers see and compute. What reads, checks and refuses checkpoints follows from it.
 *
 * How it grows, each time by a field here and one place that reads it:
 * - Another tensor is a role of `layer`; the graph acts on the roles that are there.
 * - How a format stores something (norm weights less 1, fused matrices) is a field of `huggingFace`
 *   or `gguf`, or of `fused`.
 * - How layers compute is a field beside `layer`.
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
    /** Checkpoints of images and text that hold such a model, which alone is run. */
    readonly multimodal?: MultimodalNames;
    /** What transformers assumes of settings that `config.json` does not state. */
    readonly defaults: Readonly<Record<string, unknown>>;
    /** Setting that names the activation. @default {"hidden_act"} */
    readonly activation?: string;
    /** Setting whose root divides products of queries and keys. Absent: the head size does. */
    readonly queryScalar?: string;
    /** What norms lack in the file: 1 where their weights are stored less 1. */
    readonly normOffset?: number;
    /** Absent: every layer sees the whole text. */
    readonly window?: WindowRule;
    /** Setting with the base of a RoPE that layers with a window have of their own. */
    readonly localRope?: string;
    /** `max_position_embeddings` is the context after linear scaling, too. */
    readonly contextIsScaled?: boolean;
    /** Settings that tell the layers that are not rotated: a list of 0 and 1, or every nth layer. */
    readonly unrotated?: { readonly listed: string; readonly every: string };
  };
  /** How GGUF files store it. Absent: under the name of another family, which it equals there. */
  readonly gguf?: {
    /** `general.architecture`. */
    readonly architecture: string;
    /** Rows of queries and keys lie interleaved, for ggml's own RoPE. */
    readonly interleaved: boolean;
    /** Every so-manieth layer is a global one, where the file does not state it. Absent: none is. */
    readonly globalEvery?: number;
    /** A stated window of 0 tokens means that there is none. */
    readonly zeroIsNoWindow?: boolean;
    /** Base of the RoPE of layers with a window, where the file does not state it. */
    readonly localTheta?: number;
    /** Every so-manieth layer is not rotated. */
    readonly unrotatedEvery?: number;
    /** Layers of models whose queries are scaled by `hidden / heads` in place of the head size. */
    readonly scaledByHidden?: readonly number[];
  };
  /** What the gate of the feed-forward layer goes through in GGUF files. @default {"silu"} */
  readonly activation?: Activation;
  /** Factor on looked-up embeddings. @default {1} */
  readonly embeddingScale?: "root of hidden";
  /** The matrix whose rows are the tokens' embeddings. */
  readonly embedding: FamilyTensor;
  /** The norm after the last layer. */
  readonly finalNorm: FamilyTensor;
  /** The output matrix of models that are not tied. */
  readonly output: FamilyTensor;
  /** What each layer holds. */
  readonly layer: LayerTensors;
  /** What is stored as one. @default {nothing} */
  readonly fused?: readonly FusedTensor[];
}

/** How checkpoints of images and text name what they hold of a family of text models. */
export interface MultimodalNames {
  /** `model_type` in `config.json`; the text model's settings are under `text_config` there. */
  readonly modelType: string;
  /** Class in `architectures`. */
  readonly architecture: string;
  /** Beginnings of tensors' names, and what stands there in a checkpoint of text alone. */
  readonly prefixes: readonly (readonly [from: string, to: string])[];
}
