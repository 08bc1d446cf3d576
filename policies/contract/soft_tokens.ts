import type { MaybePromise } from "./maybe_promise.ts";
import type { ModelFile } from "./model_file.ts";

/** Trained (or untrained) embeddings that are appended to a prompt to probe it. */
export interface SoftTokens {
  /** Number of soft tokens. */
  readonly count: number;
  /** Embedding size of the model that they belong to. */
  readonly hidden: number;
  /** The embeddings, `[count, hidden]`, row-major. */
  readonly embeddings: Float32Array;
  /** Low-rank weights that act on the soft tokens' rows alone. */
  readonly adapters?: SoftAdapters;
  /**
   * Fingerprint of the checkpoint they were trained on. Without it and without an identity they fit
   * any model of this hidden size.
   */
  readonly fingerprint?: string;
  /** {@linkcode ModelFacts.identity} of that checkpoint: other formats of the model fit too. */
  readonly identity?: string;
  /** Whether the embeddings come from training. */
  readonly trained: boolean;
  /** Why they are what they are, for the session's notes. */
  readonly note?: string;
  /** Facts about the training, as they stand in the file's metadata. */
  readonly card?: Readonly<Record<string, string>>;
}

/** Low-rank weights beside the frozen ones: a product `x·W` becomes `x·W + (x·a)·b`. */
export interface SoftAdapters {
  /** Columns of each `a`, rows of each `b`. */
  readonly rank: number;
  /**
   * Row-major: `adapter.L.p.a [in, rank]` and `adapter.L.p.b [rank, out]` for each layer `L`, where
   * the projection `p` is `q`, `k`, `v`, `o`, `gate`, `up` or `down`.
   */
  readonly tensors: Readonly<Record<string, Float32Array>>;
}

/** What the {@linkcode SoftTokens} factory of a policy learns about the model, and may ask of it. */
export interface ModelFacts {
  /** Token ids of a text, without the token that opens one; absent where there is no tokenizer. */
  readonly encode?: (text: string) => MaybePromise<readonly number[]>;
  /**
   * Token ids between a user's message and the answer, as in the model's chat template; absent where there
   * is no tokenizer.
   */
  readonly turnEnd?: readonly number[];
  /** Embedding size. */
  readonly hidden: number;
  /** Layers of the model. */
  readonly layers: number;
  /** Fingerprint of the checkpoint: its bytes, so that every format of a model has its own. */
  readonly fingerprint: string;
  /** What all formats of a model share: a hash of the weights that no format rounds. */
  readonly identity: string;
  /**
   * Root mean square of the model's token embeddings as its first layer gets them, to scale untrained soft
   * tokens.
   */
  readonly embeddingRms: number;
  /**
   * Reads soft tokens from a safetensors file.
   *
   * @param source Path, or `file:`, `http:` or `https:` URL.
   */
  readonly readSoftTokens: (source: string | URL) => Promise<SoftTokens>;
  /**
   * Reads what was made once for a model from a safetensors file.
   *
   * @param source Path, or `file:`, `http:` or `https:` URL.
   */
  readonly readModelFile: (source: string | URL) => Promise<ModelFile>;
}

/** Path or URL of a file of soft tokens, the tokens themselves, or `"untrained"` for random ones. */
export type SoftTokenSource = string | URL | SoftTokens;
