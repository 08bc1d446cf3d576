import type { StepModel } from "../kernels/step_model.ts";
import type { ChosenDevice } from "./device/choose_device.ts";
import { deviceError } from "./device/device_error.ts";
import { CheckpointError } from "./errors.ts";
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
 * @throws {CheckpointError} If layers do what the graphs do not.
 */
export async function openEngine(
  { provider, half, maxBufferBytes }: ChosenDevice,
  model: StepModel,
  { config, threads, readOutput }: HostEngineOptions,
): Promise<OpenEngine> {
  if (provider === "cpu") return await openHostEngine(model, { config, threads, readOutput });
  refuseUnbuilt(model);
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

function refuseUnbuilt(
  { layerKinds, layers, ropes, activation, embeddingScale, attentionScale, headDim }: StepModel,
): void {
  const usual = ropes.length === 1 && activation === "silu" && embeddingScale === 1 &&
    layerKinds.every(({ rope, window }) => rope === 0 && window === undefined) &&
    attentionScale === 1 / Math.sqrt(headDim) &&
    layers.every((layer) => !layer.attentionOutputNorm && !layer.mlpOutputNorm);
  if (usual) return;
  throw new CheckpointError(
    "Cannot run this model on a device: its layers compute in a way that only the processor does; set " +
      "'device' to cpu",
  );
}
