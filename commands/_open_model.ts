import type { Model } from "../runtime/model.ts";
import type { PrecisionChoice } from "../runtime/weights/precisions.ts";
import { defined } from "./_defined.ts";
import type { Progress } from "./_progress.ts";

/** What the user said about the model. */
export interface ModelFlags {
  readonly model: string;
  readonly threads?: number | undefined;
  readonly precision: PrecisionChoice;
}

/** Loads the model; native code is loaded here and not before. */
export async function openModel(
  { model, threads, precision }: ModelFlags,
  progress: Progress,
  signal: AbortSignal,
): Promise<Model> {
  const { loadModel } = await import("../runtime/model.ts");
  const options = { ...defined({ threads }), precision, signal };
  const loaded = await loadModel(model, { ...options, onProgress: progress.fetching });
  progress.clear();
  return loaded;
}
