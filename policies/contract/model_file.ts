/** What was made once for a model, such as budgets of its heads: named numbers, for a policy to judge by. */
export interface ModelFile {
  /** Name of the policy that it was made for. */
  readonly kind: string;
  /** The numbers, by name. */
  readonly tensors: Readonly<Record<string, ModelTensor>>;
  /** Fingerprint of the checkpoint that it was made for. Without it and an identity it fits any model. */
  readonly fingerprint?: string;
  /** What all formats of that model share. */
  readonly identity?: string;
  /** How it was made, as it stands in the file's metadata. */
  readonly card?: Readonly<Record<string, string>>;
}

/** Some numbers. */
export interface ModelTensor {
  /** Outermost dimension first. */
  readonly shape: readonly number[];
  /** Row-major. */
  readonly data: Float32Array;
}

/** Path or URL of a {@linkcode ModelFile}, or the file as it was read. */
export type ModelFileSource = string | URL | ModelFile;
