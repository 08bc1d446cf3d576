import { adapterFeeds, type AdapterTensor, adapterTensors } from "../adapters.ts";
import type { RotaryRows } from "../rope.ts";
import { floats, integers } from "../session.ts";
import type { StepModel } from "../step_model.ts";
import { createCounting } from "./counting.ts";
import type { Device, DeviceTensor } from "./device.ts";
import {
  buildDeviceStepGraph,
  type DeviceStepGraphOptions,
  layerPorts,
} from "./device_step_graph.ts";

/** A layer of the cache, as a step reads it and writes into it. */
export interface SlottedLayer {
  /** `[kvHeads, capacity, headDim]`. */
  readonly keys: DeviceTensor;
  /** Like the keys. */
  readonly values: DeviceTensor;
  /** Tokens of each KV head: the step's entries go into the slots behind them. */
  readonly lengths: readonly number[];
}

/** What one step on a device reads. */
export interface DeviceStepInputs {
  /** Token ids, `[S]`. */
  readonly ids: readonly number[];
  /** Rows that follow the ids, `[E, hidden]`: soft tokens. */
  readonly embeddings?: Float32Array;
  /** Rotary tables of the new tokens. */
  readonly rotary: RotaryRows;
  /** New tokens whose logits are wanted, from 0; at least one. */
  readonly rows: readonly number[];
  /** The layers, each with room for the new tokens. */
  readonly layers: readonly SlottedLayer[];
  /** Whether the queries are wanted. @default {false} */
  readonly queries?: boolean;
  /** Whether the attention that each slot receives is wanted. @default {false} */
  readonly observe?: boolean;
  /** Adapter tensors by name, all of them: only for a kernel with adapters. */
  readonly adapters?: Readonly<Record<string, Float32Array>>;
}

/** What one step on a device gives. The caller owns the tensors. */
export interface DeviceStepOutputs {
  /** `[rows, vocabulary]`. */
  readonly logits: Float32Array;
  /** Rotated queries of each layer, `[tokens, heads, headDim]`; none unless asked for. */
  readonly queries: readonly DeviceTensor[];
  /** Attention that each slot received, `[heads, capacity]` for each layer; none unless asked for. */
  readonly attentionSums: readonly DeviceTensor[];
}

/** The step graph, loaded on a device. */
export interface DeviceStepKernel extends AsyncDisposable {
  run(inputs: DeviceStepInputs): Promise<DeviceStepOutputs>;
}

/** Loads the step graph of a model on a device. */
export async function createDeviceStepKernel(
  device: Device,
  model: StepModel,
  options: DeviceStepGraphOptions = {},
): Promise<DeviceStepKernel> {
  const { heads, headDim } = model;
  const ports = model.layers.map((_, layer) => layerPorts(layer));
  const stay = ports.flatMap((port) => [
    port.presentKeys,
    port.presentValues,
    port.queries,
    port.attentionSums,
  ]);
  const kernel = await device.load(buildDeviceStepGraph(model, options), { stay, inPlace: true });
  const tensors = options.adapters ? adapterTensors(model, options.adapters) : [];
  const counting = createCounting(device);
  return {
    async run(inputs) {
      const { layers, queries = false, observe = false } = inputs;
      const tokens = inputs.rotary.cos.length / (headDim / 2);
      const most = Math.max(tokens, ...layers.map(({ keys }) => keys.dims[1] ?? 0));
      using made = new DisposableStack();
      const empty = async (wanted: boolean, dims: readonly number[]): Promise<DeviceTensor[]> =>
        wanted ? [made.use(await device.zeros(dims))] : [];
      const into: Record<string, DeviceTensor> = {};
      const asked: DeviceTensor[] = [];
      const paid: DeviceTensor[] = [];
      for (const [layer, { keys, values }] of layers.entries()) {
        const port = ports[layer] ?? layerPorts(layer);
        into[port.presentKeys] = keys;
        into[port.presentValues] = values;
        for (const tensor of await empty(queries, [tokens, heads, headDim])) {
          asked.push(into[port.queries] = tensor);
        }
        for (const tensor of await empty(observe, [heads, keys.dims[1] ?? 0])) {
          paid.push(into[port.attentionSums] = tensor);
        }
      }
      const outputs = await kernel.run(
        {
          ...stepFeeds(model, tensors, inputs, tokens),
          counting: await counting.atLeast(most),
        },
        { fetches: ["logits", ...Object.keys(into)], into },
      );
      made.move();
      return { logits: outputs.floats("logits"), queries: asked, attentionSums: paid };
    },
    async [Symbol.asyncDispose]() {
      await counting[Symbol.asyncDispose]();
      await kernel[Symbol.asyncDispose]();
    },
  };
}

function stepFeeds(
  { hidden, headDim, kvHeads }: StepModel,
  tensors: readonly AdapterTensor[],
  { ids, embeddings = new Float32Array(0), rotary, rows, layers, adapters }: DeviceStepInputs,
  tokens: number,
) {
  const half = headDim / 2;
  const held = layers.flatMap(({ lengths }) => lengths);
  return {
    ids: integers(ids),
    embeddings: floats(embeddings, [embeddings.length / hidden, hidden]),
    cos: floats(rotary.cos, [tokens, half]),
    sin: floats(rotary.sin, [tokens, half]),
    rows: integers(rows),
    held: floats(Float32Array.from(held), [layers.length, kvHeads]),
    ...adapterFeeds(tensors, adapters),
    ...Object.fromEntries(layers.flatMap(({ keys, values, lengths }, layer) => {
      const port = layerPorts(layer);
      const slots = lengths.flatMap((length, head) =>
        Array.from({ length: tokens }, (_, token) => [head, length + token]).flat()
      );
      return [
        [port.keys, keys] as const,
        [port.values, values] as const,
        [port.slots, integers(slots, [kvHeads, tokens, 2])] as const,
      ];
    })),
  };
}
