import type { Checkpoint } from "./checkpoint/checkpoint.ts";
import { openCheckpoint } from "./checkpoint/open.ts";
import type { LoadOptions, Model } from "./model.ts";
import { homeFolder } from "./models/home.ts";
import { resolveModel } from "./models/resolve_model.ts";
import { tokenizerOf } from "./tokenizer/tokenizer_of.ts";
import { settlePrecision } from "./weights/precision.ts";

/** A model as its files describe it: nothing of it is in memory. */
export interface DescribedModel
  extends Pick<Model, "name" | "config" | "tokenizer" | "precision" | "fingerprint"> {
  /** Where its files lie. */
  readonly path: string;
  /** Its tensors, by name. */
  readonly tensors: Checkpoint["tensors"];
}

/**
 * Describes a model without loading its weights, fetching it first where needed: for whoever plans work
 * that others do.
 *
 * @throws {FetchError} If the model cannot be found or fetched.
 * @throws {CheckpointError} If it is damaged or not supported.
 *
 * @example
 * ```ts
 * import { describeModel } from "./describe_model.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = new URL("../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * const { config, precision } = await describeModel(folder);
 * assertEquals([config.layers, precision], [3, "int8"]);
 * ```
 */
export async function describeModel(
  source: string,
  options: Omit<LoadOptions, "device" | "threads" | "sequences" | "now"> = {},
): Promise<DescribedModel> {
  const { home = homeFolder(), precision = "auto", allowControlTokens = false } = options;
  const path = await resolveModel(source, {
    home,
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const checkpoint = await openCheckpoint(path, { home });
  return {
    name: source,
    config: checkpoint.config,
    tokenizer: tokenizerOf(checkpoint, { allowControlTokens }),
    precision: settlePrecision(checkpoint, precision),
    fingerprint: () => checkpoint.fingerprint(),
    path,
    tensors: checkpoint.tensors,
  };
}
