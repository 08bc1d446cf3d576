import { observedLayers } from "../observed_layers.ts";
import { adapterTensors } from "../adapters.ts";
import { int32s } from "../session.ts";
import type { StepModel } from "../step_model.ts";
import type { Device, DeviceFeeds, DeviceTensor } from "./device.ts";
import type { SlottedLayer, StepRun } from "./step_kernel.ts";
import { buildEvenStepGraph, type DeviceStepGraphOptions } from "./device_step_graph.ts";
import type { EvenSupport } from "./even_check.ts";
import { layerPorts } from "./layer_ports.ts";
import { createObserveKernel } from "./observe.ts";
import { newTokens } from "./packed_tokens.ts";
import { oneInteger } from "./one_integer.ts";
import { createScratch } from "./scratch.ts";
import type { SentOnce } from "./sent_once.ts";
import { stepFeeds } from "./step_feeds.ts";
import { createUnseenLogits } from "./unseen_logits.ts";

/**
 * Loads the step graph of which all KV heads of a layer hold equally many tokens. What new tokens attend
 * to is computed behind the step, by those steps alone whose attention somebody wants.
 */
export async function createEvenStepKernel(
  device: Device,
  model: StepModel,
  { support, sentOnce, ...options }: DeviceStepGraphOptions & {
    readonly support: EvenSupport;
    readonly sentOnce: SentOnce;
  },
): Promise<StepRun> {
  const { heads, headDim } = model;
  const element = options.half ? "float16" : "float32";
  const { graph, queries: queryNames } = buildEvenStepGraph(model, options);
  const ports = model.layers.map((_, layer) => layerPorts(layer));
  const global = observedLayers(model);
  const stay = [
    ...ports.flatMap((port) => [port.presentKeys, port.presentValues]),
    ...queryNames,
  ];
  await using opening = new AsyncDisposableStack();
  const kernel = opening.use(await device.load(graph, { stay, inPlace: true }));
  const observing = opening.use(createObserveKernel(device, model, global.length, element));
  const constant = support.ignoresLastIndex ? opening.use(await oneInteger(device)) : undefined;
  const unseen = opening.use(createUnseenLogits(device, model.vocabulary, options.half === true));
  const tensors = options.adapters ? adapterTensors(model, options.adapters) : [];
  const scratch = opening.use(
    createScratch(
      queryNames.length,
      (tokens) => device.zeros([1, tokens, heads * headDim], element),
    ),
  );
  const opened = opening.move();
  return {
    async run(inputs) {
      const { layers, queries = false, observe = false } = inputs;
      const tokens = newTokens(inputs, headDim);
      const into: Record<string, DeviceTensor> = {};
      using given = await stepFeeds(model, inputs, tensors, sentOnce);
      const feeds: Record<string, DeviceFeeds[string]> = { ...given.feeds };
      for (const [layer, { keys, values, lengths }] of layers.entries()) {
        const port = ports[layer] ?? layerPorts(layer);
        const total = (lengths[0] ?? 0) + tokens;
        into[port.presentKeys] = feeds[port.keys] = asBatch(device, keys);
        into[port.presentValues] = feeds[port.values] = asBatch(device, values);
        feeds[port.lastIndex] = constant ?? int32s([total - 1]);
        feeds[port.total] = int32s([total]);
      }
      const asked = queries || observe ? await scratch.take(tokens) : [];
      using _scratch = { [Symbol.dispose]: () => scratch.giveBack(asked) };
      for (const [layer, tensor] of asked.entries()) into[queryNames[layer] ?? ""] = tensor;
      using room = await unseen.roomFor(inputs);
      Object.assign(into, room.into);
      const fetches = [...new Set(["logits", ...Object.keys(into)])];
      const outputs = await kernel.run(feeds, { fetches, into });
      using results = new DisposableStack();
      const copies: DeviceTensor[] = [];
      for (const tensor of queries ? asked : []) {
        copies.push(results.use(await observing.queries(tensor)));
      }
      const attentionSums = observe && global.length > 0
        ? await observing.sums(observed(global, layers, asked))
        : [];
      const seen = await room.seen(outputs);
      results.move();
      return { ...seen, queries: copies, attentionSums };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function observed(
  global: readonly number[],
  layers: readonly SlottedLayer[],
  queries: readonly DeviceTensor[],
) {
  return global.flatMap((layer) => {
    const [asked, held] = [queries[layer], layers[layer]];
    return asked && held ? [{ queries: asked, keys: held.keys, lengths: held.lengths }] : [];
  });
}

/** `[kvHeads, capacity, headDim]` as a batch of one. */
function asBatch(device: Device, tensor: DeviceTensor): DeviceTensor {
  return device.reshaped(tensor, [1, ...tensor.dims]);
}
