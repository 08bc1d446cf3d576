import type { StepModel } from "../kernels/step_model.ts";
import type { ChosenDevice } from "./device/choose_device.ts";
import { deviceError } from "./device/device_error.ts";
import { openDeviceEngine } from "./engine/device/open_device_engine.ts";
import type { Engine } from "./engine/engine.ts";
import { type HostEngineOptions, openHostEngine } from "./engine/host/open_host_engine.ts";

/** An engine and what it owns. */
export interface OpenEngine extends AsyncDisposable {
  readonly engine: Engine;
}

/**
 * Loads a model's graphs where they are to run.
 *
 * @throws {DeviceError} If the device cannot hold or run them.
 */
export async function openEngine(
  { provider, half, maxBufferBytes }: ChosenDevice,
  model: StepModel,
  options: HostEngineOptions,
): Promise<OpenEngine> {
  if (provider === "cpu") return await openHostEngine(model, options);
  const { config, threads, readOutput } = options;
  return await openDeviceEngine(model, {
    provider,
    config,
    threads,
    half: half && fitsHalf(model),
    ...(maxBufferBytes === undefined ? {} : { maxBufferBytes }),
    readOutput,
    explain: (error, action) => deviceError(provider, action, error),
  });
}

/**
 * Whether a model's activations stay within 16-bit floats, whose largest is 65,504. Models that normalise
 * what a block gives to the stream, as Gemma does, let the stream grow beyond.
 */
function fitsHalf({ layers }: StepModel): boolean {
  return layers.every((layer) => !layer.attentionOutputNorm && !layer.mlpOutputNorm);
}
