import type { Activation, LayerKind } from "../../kernels/step_model.ts";
import type { ModelFamily } from "./families/family.ts";

/** Number formats of stored weights. */
export type TensorType =
  | "F32"
  | "F16"
  | "BF16"
  | "Q8_0"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q2_K"
  | "Q3_K"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K"
  | "IQ4_NL"
  | "IQ4_XS";

/** Where a tensor lies on disk, in Hugging Face naming and layout (`[out, in]`). */
export interface TensorLocation {
  /** Hugging Face name, such as `model.layers.0.self_attn.q_proj.weight`. */
  readonly name: string;
  /** Number format in the file. */
  readonly type: TensorType;
  /** Outermost dimension first; empty for a scalar. */
  readonly shape: readonly number[];
  /** Real path of the file: symbolic links are resolved. */
  readonly file: string;
  /** First byte, counted from the start of the file. */
  readonly offset: number;
  /** Bytes. */
  readonly bytes: number;
  /**
   * Heads whose rows GGUF stores interleaved (`[headDim / 2, 2]`) for its own RoPE; undone on reading
   * to `[2, headDim / 2]`. Absent: rows lie as in Hugging Face checkpoints.
   */
  readonly interleavedHeads?: number;
  /** Added to each number on reading: norms that are stored less 1. Absent: nothing. */
  readonly offsetBy?: number;
}

/** How positions scale the rotary frequencies. */
export type RopeScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  | {
    readonly kind: "dynamic";
    readonly factor: number;
    readonly originalContext: number;
  }
  | {
    readonly kind: "llama3";
    readonly factor: number;
    readonly lowFrequencyFactor: number;
    readonly highFrequencyFactor: number;
    readonly originalContext: number;
  }
  /**
   * Per-frequency divisors, `[headDim / 2]`, of texts up to and beyond the original context (LongRoPE,
   * Ding et al. 2024), and a factor on cosines and sines.
   */
  | {
    readonly kind: "longrope";
    readonly shortFactors: readonly number[];
    readonly longFactors: readonly number[];
    readonly originalContext: number;
    readonly attentionFactor: number;
  }
  /** Per-frequency divisors, `[headDim / 2]`, as GGUF stores them (`rope_freqs.weight`). */
  | { readonly kind: "factors"; readonly factors: readonly number[] };

/** Rotary position embeddings of some layers. */
export interface RopeSettings {
  /** Base of the rotary frequencies, before scaling. */
  readonly theta: number;
  /** Scaling of the rotary frequencies. */
  readonly scaling: RopeScaling;
}

/** What the step graph needs to know of a model. */
export interface ModelConfig {
  /** Name of its family, such as `llama`. */
  readonly family: string;
  /** Decoder layers. */
  readonly layers: number;
  /** Embedding size. */
  readonly hidden: number;
  /** Query heads. */
  readonly heads: number;
  /** Key-value heads; divides `heads`. */
  readonly kvHeads: number;
  /** Size of a head, even; `heads * headDim` need not be `hidden`. */
  readonly headDim: number;
  /** Size of the feed-forward layer. */
  readonly intermediate: number;
  /** Rows of the embedding matrix. */
  readonly vocabulary: number;
  /** Tokens that the model was made for, RoPE scaling included. */
  readonly context: number;
  /** Added to the mean square in normalisation. */
  readonly rmsEpsilon: number;
  /** Rotary position embeddings, one or two of them; `layerKinds` say which layers use which. */
  readonly ropes: readonly RopeSettings[];
  /** How each layer sees the text before it: its window, its rotary position embeddings. */
  readonly layerKinds: readonly LayerKind[];
  /** What the gate of a feed-forward layer goes through. */
  readonly activation: Activation;
  /** Factor on the embeddings of token ids: 1 mostly, the root of `hidden` for Gemma. */
  readonly embeddingScale: number;
  /** Factor on products of queries and keys, mostly 1 over the root of `headDim`. */
  readonly attentionScale: number;
  /** The output matrix is the embedding matrix. */
  readonly tied: boolean;
  /** Token ids that end a generation, from the checkpoint's settings. */
  readonly eosIds: readonly number[];
  /** Token id that starts a text, if the checkpoint names one. */
  readonly bosId?: number;
}

/** Where the tokenizer and the chat template come from. */
export type TokenizerSource =
  /** Contents of `tokenizer.json` and `tokenizer_config.json` (with the template merged in). */
  | { readonly kind: "json"; readonly tokenizer: unknown; readonly config: unknown }
  /** Metadata of a GGUF file. */
  | { readonly kind: "gguf"; readonly metadata: Readonly<Record<string, unknown>> }
  /** The checkpoint has none: only token ids can be given. */
  | { readonly kind: "absent"; readonly reason: string };

/** An opened checkpoint: settings and places, no weights in memory. */
export interface Checkpoint {
  /** Folder or file, as given. */
  readonly path: string;
  /** What the model is. */
  readonly config: ModelConfig;
  /** What its family's models hold, and under which names. */
  readonly family: ModelFamily;
  /** By Hugging Face name. */
  readonly tensors: ReadonlyMap<string, TensorLocation>;
  /** Where its tokenizer comes from. */
  readonly tokenizer: TokenizerSource;
  /**
   * SHA-256 in hexadecimal over the settings and the weights' bytes. The same file gives the same
   * fingerprint wherever it lies; it is computed once and remembered beside the cache.
   */
  fingerprint(): Promise<string>;
}
