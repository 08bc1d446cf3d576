import type { AdapterShape } from "../../../kernels/adapters.ts";
import { createCacheKernels } from "../../../kernels/device/cache_kernels.ts";
import type { Device, DeviceOptions } from "../../../kernels/device/device.ts";
import { openDevice } from "../../../kernels/device/open_device.ts";
import { createDeviceStepKernel } from "../../../kernels/device/device_step.ts";
import { checkEvenAttention } from "../../../kernels/device/even_check.ts";
import { createEvidenceKernels } from "../../../kernels/device/evidence_kernels.ts";
import { createMergeKernels } from "../../../kernels/device/merge_values.ts";
import { createHeldOutputs } from "../../../kernels/device/output_matrices.ts";
import type { ProviderName } from "../../../kernels/device/provider_probe.ts";
import { createMomentKernels } from "../../../kernels/device/query_moments.ts";
import { createReplayKernels } from "../../../kernels/device/replay_kernels.ts";
import { createRowKernels } from "../../../kernels/device/row_kernels.ts";
import { createSurrogateKernels } from "../../../kernels/device/surrogates.ts";
import { createLayerArithmetic } from "../../../kernels/device/view_kernels.ts";
import type { StepModel } from "../../../kernels/step_model.ts";
import { adaptedKernels } from "../../soft_tokens/adapted_kernels.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import type { Engine } from "../engine.ts";
import { outputMatrices } from "../output_matrices.ts";
import { createDeviceEngine } from "./device_engine.ts";
import { createScoreKernels } from "./score_kernels.ts";

/** What an engine on a device is opened for. */
export interface DeviceEngineOptions {
  readonly provider: ProviderName;
  readonly config: ModelConfig;
  /** Threads of what runs on the processor. */
  readonly threads: number;
  /** Whether it computes, and the cache holds, 16-bit floats. */
  readonly half: boolean;
  /** Largest buffer of the device, in bytes; absent where there is no limit. */
  readonly maxBufferBytes?: number;
  /** Turns what the native library throws into what is thrown. */
  readonly explain?: DeviceOptions["explain"];
  /** Milliseconds: steps run ahead as far as they are fast. @default {performance.now()} */
  readonly now?: () => number;
  /** Reads a layer's output matrix, `[hidden, heads · headDim]`. */
  readonly readOutput: (layer: number) => Float32Array;
}

/** An engine on a device, which it owns. */
export interface OpenDeviceEngine extends AsyncDisposable {
  readonly engine: Engine;
  /** What the device holds and has exchanged. */
  readonly device: Device;
}

/** Loads a model's graphs on a device. */
export async function openDeviceEngine(
  model: StepModel,
  { provider, config, threads, half, maxBufferBytes, readOutput, explain, now = steadyNow }:
    DeviceEngineOptions,
): Promise<OpenDeviceEngine> {
  await using opening = new AsyncDisposableStack();
  const device = opening.use(openDevice(provider, { threads, ...(explain ? { explain } : {}) }));
  const element = half ? "float16" : "float32";
  const support = await checkEvenAttention(device, model, element);
  const step = opening.use(await createDeviceStepKernel(device, model, { half, support }));
  const adapted = opening.use(
    adaptedKernels((adapters: AdapterShape) =>
      createDeviceStepKernel(device, model, { half, support, adapters })
    ),
  );
  const kernels = opening.use(createCacheKernels(device, element));
  const rows = opening.use(createRowKernels(device));
  const evidence = opening.use(createEvidenceKernels(device, config, element));
  const moments = opening.use(createMomentKernels(device, config, element));
  const replay = opening.use(createReplayKernels(device, config, element));
  const arithmetic = opening.use(createLayerArithmetic(device, config, element));
  const merge = opening.use(createMergeKernels(device, config, element));
  const surrogates = opening.use(createSurrogateKernels(device, config));
  const scores = opening.use(createScoreKernels(device, element));
  const read = outputMatrices(config, readOutput);
  const outputs = opening.use(createHeldOutputs(device, config, element, read));
  const engine = createDeviceEngine({
    ...{ device, element, config, threads, step, kernels, rows, evidence, moments, replay, now },
    ...{ outputs, surrogates, merge },
    ...(maxBufferBytes === undefined ? {} : { maxBufferBytes }),
    adapted: (shape) => adapted.kernel(shape),
    views: {
      scores,
      similarity: (keys, of) => arithmetic.similarity(keys, of),
      outputNorms: async (values, layer) =>
        await arithmetic.outputNorms(values, await outputs.matrix(layer)),
      read: (tensor) => rows.read(tensor),
    },
  });
  const opened = opening.move();
  return { engine, device, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

const steadyNow = (): number => performance.now();
