import type { StepModel } from "../../../kernels/step_model.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import { settleCopies, type WeightCopiesChoice } from "../../weights/weight_copies.ts";
import { createHostEngine, type HostEngine } from "./host_engine.ts";
import { layerKernels } from "./layer_kernels.ts";
import { openStepKernels } from "./step_kernels.ts";

/** What an engine in main memory is opened for. */
export interface HostEngineOptions {
  readonly config: ModelConfig;
  readonly threads: number;
  /** Sequences that one decoding step may advance. @default {1} */
  readonly sequences?: number;
  /** How often the weights lie in memory. @default {"auto"} */
  readonly weightCopies?: WeightCopiesChoice;
  /** Reads a layer's output matrix, `[hidden, heads · headDim]`. */
  readonly readOutput: (layer: number) => Float32Array;
}

/** An engine in main memory, which it owns. */
export interface OpenHostEngine extends AsyncDisposable {
  readonly engine: HostEngine;
}

/**
 * Tokens of a prompt that are read at a time. Where memory is to be saved, what a step lays out is too, and
 * products are of two rows for each token.
 */
const CHUNK = { one: 64, two: 256 } as const;

/** Loads a model's graphs on the processor. */
export async function openHostEngine(
  model: StepModel,
  { config, threads, sequences = 1, weightCopies = "auto", readOutput }: HostEngineOptions,
): Promise<OpenHostEngine> {
  await using opening = new AsyncDisposableStack();
  const copies = settleCopies(model, weightCopies);
  const { step, adapted } = opening.use(
    await openStepKernels(model, { threads, sequences, copies }),
  );
  const kernels = opening.use(layerKernels(config, threads, readOutput));
  const engine = createHostEngine({
    ...{ config, threads, step, kernels, sequences, chunk: CHUNK[copies] },
    adapted,
  });
  const opened = opening.move();
  return { engine, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
