import { createStepKernel } from "../../../kernels/step.ts";
import type { StepModel } from "../../../kernels/step_model.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import { adaptedKernels } from "../../soft_tokens/adapted_kernels.ts";
import { createHostEngine, type HostEngine } from "./host_engine.ts";
import { layerKernels } from "./layer_kernels.ts";

/** What an engine in main memory is opened for. */
export interface HostEngineOptions {
  readonly config: ModelConfig;
  readonly threads: number;
  /** Sequences that one decoding step may advance. @default {1} */
  readonly sequences?: number;
  /** Reads a layer's output matrix, `[hidden, heads · headDim]`. */
  readonly readOutput: (layer: number) => Float32Array;
}

/** An engine in main memory, which it owns. */
export interface OpenHostEngine extends AsyncDisposable {
  readonly engine: HostEngine;
}

/** Loads a model's graphs on the processor. */
export async function openHostEngine(
  model: StepModel,
  { config, threads, sequences = 1, readOutput }: HostEngineOptions,
): Promise<OpenHostEngine> {
  await using opening = new AsyncDisposableStack();
  const step = opening.use(await createStepKernel(model, threads, { sequences }));
  const kernels = opening.use(layerKernels(config, threads, readOutput));
  const adapted = opening.use(
    adaptedKernels((adapters) => createStepKernel(model, threads, { adapters })),
  );
  const engine = createHostEngine({
    ...{ config, threads, step, kernels, sequences },
    adapted: (shape) => adapted.kernel(shape),
  });
  const opened = opening.move();
  return { engine, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
