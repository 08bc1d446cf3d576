import { createHash } from "node:crypto";

/** The model's own greedy answer. */
export interface OwnResponse {
  readonly kind: "self";
  /** At most that many tokens. */
  readonly tokens: number;
  /** Text that the answer ends before: not every model ends it itself. */
  readonly until?: string;
}

/** What is read behind a prompt, and says which of its tokens matter. */
export type ResponseSource =
  | OwnResponse
  /** Token ids of a known answer. */
  | { readonly kind: "original"; readonly ids: readonly number[] }
  /** The prompt itself, which the model is asked to repeat, so many tokens at a time (KVzip). */
  | { readonly kind: "repeated"; readonly chunk: number };

/** How the attention of an answer's queries is made one map. */
export type MapKind = "mean" | "max" | "top" | "segments";

/** What the attention of soft tokens is trained towards, for one prompt. */
export interface Target {
  /** Token ids of the prompt, `[n]`. */
  readonly prompt: Int32Array;
  /** Token ids of the answer. */
  readonly response: Int32Array;
  /**
   * `A_resp`: mean attention of the answer's queries to the prompt, `[layers, heads, n]`; of a repetition
   * the most that a query pays.
   */
  readonly attention: Float32Array;
  /** The answer's attention in other ways; none of a repetition. */
  readonly others?: Readonly<Record<OtherMap, Float32Array>>;
}

/** Maps besides the mean: the most, the mean of the highest, and means of parts of the answer. */
export type OtherMap = Exclude<MapKind, "mean">;

/** All of them, in the order in which they are digested. */
export const OTHER_MAPS: readonly OtherMap[] = ["max", "top", "segments"];

/** Keys and values of a prompt, `[n, kvHeads · headDim]` per layer, in 16 bits. */
export type PromptCache = readonly {
  readonly keys: Float16Array;
  readonly values: Float16Array;
}[];

/**
 * The name of a target: a hash of everything that it depends on, so that equal examples share one
 * and none is ever used for another model or another kind of answer.
 */
export function targetKey(
  model: { readonly fingerprint: string; readonly precision: string },
  prompt: readonly number[],
  response: ResponseSource,
): string {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([model.fingerprint, model.precision, prompt, response]));
  return hash.digest("hex").slice(0, 32);
}
