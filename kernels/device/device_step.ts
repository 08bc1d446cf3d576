import type { StepModel } from "../step_model.ts";
import { createDecodeKernel, type DecodeKernel } from "./decode_step.ts";
import type { Device } from "./device.ts";
import type { DeviceStepGraphOptions } from "./device_step_graph.ts";
import { checkEvenAttention, type EvenSupport, FEW } from "./even_check.ts";
import { createEvenStepKernel } from "./even_step.ts";
import { newTokens } from "./packed_tokens.ts";
import { createRaggedStepKernel } from "./ragged_step.ts";
import type { DeviceStepKernel, SlottedLayer } from "./step_kernel.ts";

/** How step graphs are loaded. */
export interface DeviceStepOptions extends DeviceStepGraphOptions {
  /** Which steps the device's attention operator computes rightly. @default {it is tried} */
  readonly support?: EvenSupport;
}

/**
 * Loads the step graphs of a model on a device: the one for even steps, and the one for ragged heads when
 * a step needs it. Each has its own copy of the weights, so the second is loaded late.
 */
export async function createDeviceStepKernel(
  device: Device,
  model: StepModel,
  { support, ...options }: DeviceStepOptions = {},
): Promise<DeviceStepKernel> {
  const element = options.half ? "float16" : "float32";
  const right = support ?? await checkEvenAttention(device, model, element);
  const load = {
    even: () => createEvenStepKernel(device, model, { ...options, support: right }),
    ragged: () => createRaggedStepKernel(device, model, options),
  };
  const loaded = new Map<keyof typeof load, Promise<DeviceStepKernel>>();
  const kernel = async (name: keyof typeof load): Promise<DeviceStepKernel> => {
    const loading = loaded.get(name) ?? load[name]();
    loaded.set(name, loading);
    try {
      return await loading;
    } catch (error) {
      loaded.delete(name);
      throw error;
    }
  };
  // What does not fit is told when a model is opened.
  await kernel(right.few || right.many ? "even" : "ragged");
  const { capture } = device;
  let decoding: Promise<DecodeKernel> | undefined;
  return {
    async run(inputs) {
      const tokens = newTokens(inputs, model.headDim);
      const even = (tokens < FEW ? right.few : right.many) && inputs.layers.every(isEven);
      if (even && right.captured && capture && tokens === 1) {
        const decode = await (decoding ??= createDecodeKernel(
          ...[device, capture, model, options.half ?? false] as const,
        ));
        if (decode.takes(inputs)) {
          return { logits: await decode.run(inputs), queries: [], attentionSums: [] };
        }
      }
      return await (await kernel(even ? "even" : "ragged")).run(inputs);
    },
    async [Symbol.asyncDispose]() {
      await (await decoding)?.[Symbol.asyncDispose]();
      const kernels = [...loaded.values()];
      loaded.clear();
      for (const one of kernels) await (await one)[Symbol.asyncDispose]();
    },
  };
}

function isEven({ lengths }: SlottedLayer): boolean {
  return lengths.every((length) => length === lengths[0]);
}
