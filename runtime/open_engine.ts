import { createStepKernel } from "../kernels/step.ts";
import type { StepModel } from "../kernels/step_model.ts";
import { adaptedKernels } from "./soft_tokens/adapted_kernels.ts";
import type { ModelConfig } from "./checkpoint/checkpoint.ts";
import type { ChosenDevice } from "./device/choose_device.ts";
import { deviceError } from "./device/device_error.ts";
import { openDeviceEngine } from "./engine/device/open_device_engine.ts";
import type { Engine } from "./engine/engine.ts";
import { createEngine, type HostEngine } from "./engine/host/host_engine.ts";
import { layerKernels } from "./engine/host/layer_kernels.ts";

/** What engines are opened for. */
export interface EngineOptions {
  readonly config: ModelConfig;
  readonly threads: number;
  /** Reads a layer's output matrix, `[hidden, heads · headDim]`. */
  readonly readOutput: (layer: number) => Float32Array;
}

/** An engine and what it owns. */
export interface OpenEngine<Runs extends Engine> extends AsyncDisposable {
  readonly engine: Runs;
}

/** Loads a model's graphs on the processor. */
export async function openHostEngine(
  model: StepModel,
  { config, threads, readOutput }: EngineOptions,
): Promise<OpenEngine<HostEngine>> {
  await using opening = new AsyncDisposableStack();
  const kernel = opening.use(await createStepKernel(model, threads));
  const kernels = opening.use(layerKernels(config, threads, readOutput));
  const adapted = opening.use(
    adaptedKernels((adapters) => createStepKernel(model, threads, { adapters })),
  );
  const engine = createEngine(
    kernel,
    { config, threads, kernels },
    (shape) => adapted.kernel(shape),
  );
  const opened = opening.move();
  return { engine, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/**
 * Loads a model's graphs on a device.
 *
 * @throws {DeviceError} If the device cannot hold or run them.
 */
export async function openEngineOn(
  { provider, half, maxBufferBytes }: ChosenDevice,
  model: StepModel,
  options: EngineOptions,
): Promise<OpenEngine<Engine>> {
  const { engine, ...opened } = await openDeviceEngine(model, {
    ...options,
    ...(maxBufferBytes === undefined ? {} : { maxBufferBytes }),
    provider,
    half,
    explain: (error, action) => deviceError(provider, action, error),
  });
  return { engine, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
}
