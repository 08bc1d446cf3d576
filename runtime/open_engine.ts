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
  { config, threads, readOutput }: HostEngineOptions,
): Promise<OpenEngine> {
  if (provider === "cpu") return await openHostEngine(model, { config, threads, readOutput });
  return await openDeviceEngine(model, {
    provider,
    config,
    threads,
    half,
    ...(maxBufferBytes === undefined ? {} : { maxBufferBytes }),
    readOutput,
    explain: (error, action) => deviceError(provider, action, error),
  });
}
