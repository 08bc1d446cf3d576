import type { Model } from "../runtime/model.ts";
import type { DeviceChoice } from "../runtime/device/choose_device.ts";
import type { PrecisionChoice } from "../runtime/weights/precisions.ts";
import { defined } from "./_defined.ts";
import { note } from "./_output.ts";
import type { Progress } from "./_progress.ts";

/** What the user said about the model. */
export interface ModelFlags {
  readonly model: string;
  readonly threads?: number | undefined;
  readonly precision: PrecisionChoice;
  readonly device: DeviceChoice;
}

/** Loads the model; native code is loaded here and not before. */
export async function openModel(
  { model, threads, precision, device }: ModelFlags,
  progress: Progress,
  signal: AbortSignal,
): Promise<Model> {
  const { loadModel } = await import("../runtime/model.ts");
  const options = { ...defined({ threads }), precision, device, signal };
  const loaded = await loadModel(model, { ...options, onProgress: progress.fetching });
  progress.clear();
  const { provider, adapter, why } = loaded.device;
  const where = adapter === undefined ? provider : `${provider} (${adapter})`;
  if (device === "auto") note(`running on ${where}: ${why}`);
  else if (provider !== "cpu") note(`running on ${where}`);
  return loaded;
}
