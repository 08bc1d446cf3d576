import type { ModelConfig } from "../runtime/checkpoint/checkpoint.ts";
import { globalLayers } from "../runtime/checkpoint/layer_kinds.ts";
import type { FetchProgress } from "../runtime/models/fetch_context.ts";
import { resolveModel } from "../runtime/models/resolve_model.ts";
import { TrainingError } from "./errors.ts";

/** The model of a run. */
export interface RunModel {
  /** Model, as `loadModel` takes it. */
  readonly model: string;
  /** Folder for models and converted weights. */
  readonly home: string;
  readonly signal?: AbortSignal;
  readonly watch?: { readonly onFetch?: (progress: FetchProgress) => void };
}

/** Finds a run's model, which is fetched where it is not here yet. */
export function findRunModel({ model, home, signal, watch }: RunModel): Promise<string> {
  return resolveModel(model, {
    home,
    ...(watch?.onFetch ? { onProgress: watch.onFetch } : {}),
    ...(signal ? { signal } : {}),
  });
}

/**
 * The layers of a model that anything is evicted from.
 *
 * @param words What is to be done with the model, and what with another.
 * @throws {TrainingError} If it has none.
 */
export function demandGlobalLayers(
  config: Pick<ModelConfig, "layerKinds">,
  model: string,
  words = { what: "train soft tokens for", instead: "train for" },
): readonly number[] {
  const layers = globalLayers(config);
  if (layers.length > 0) return layers;
  throw new TrainingError(
    `Cannot ${words.what} ${model}: all its layers slide, so nothing is ever evicted; ` +
      `${words.instead} a model with global layers`,
    { options: ["model"] },
  );
}
