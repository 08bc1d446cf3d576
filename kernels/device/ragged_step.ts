import { observedLayers } from "../observed_layers.ts";
import { adapterTensors } from "../adapters.ts";
import { floats, integers } from "../session.ts";
import { LAYER_INPUTS, WANTED_INPUTS } from "../step_graph.ts";
import type { StepModel } from "../step_model.ts";
import { createCounting } from "./counting.ts";
import type { Device, DeviceTensor } from "./device.ts";
import type { SlottedLayer, StepRun } from "./step_kernel.ts";
import {
  buildDeviceStepGraph,
  type DeviceStepGraphOptions,
  INPUT_NORMS,
} from "./device_step_graph.ts";
import { layerPorts } from "./layer_ports.ts";
import { newTokens } from "./packed_tokens.ts";
import type { SentOnce } from "./sent_once.ts";
import { stepFeeds } from "./step_feeds.ts";
import { createUnseenLogits } from "./unseen_logits.ts";

/** Loads the step graph whose KV heads may hold different numbers of tokens. */
export async function createRaggedStepKernel(
  device: Device,
  model: StepModel,
  { sentOnce, ...options }: DeviceStepGraphOptions & { readonly sentOnce: SentOnce },
): Promise<StepRun> {
  const { heads, headDim } = model;
  const ports = model.layers.map((_, layer) => layerPorts(layer));
  const global = new Set(observedLayers(model));
  const stay = ports.flatMap((port, layer) => [
    ...[port.presentKeys, port.presentValues, port.queries],
    ...(global.has(layer) ? [port.attentionSums] : []),
  ]).concat(global.size > 0 ? [INPUT_NORMS, LAYER_INPUTS] : []);
  await using opening = new AsyncDisposableStack();
  const kernel = opening.use(
    await device.load(buildDeviceStepGraph(model, options), { stay, inPlace: true }),
  );
  const unseen = opening.use(createUnseenLogits(device, model.vocabulary, options.half === true));
  const tensors = options.adapters ? adapterTensors(model, options.adapters) : [];
  const counting = opening.use(createCounting(device));
  const opened = opening.move();
  return {
    async run(inputs) {
      const { layers, queries = false, observe = false } = inputs;
      const wantsNorms = inputs.inputNorms === true && global.size > 0;
      const wantsInputs = inputs.layerInputs === true && global.size > 0;
      const tokens = newTokens(inputs, headDim);
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
        for (
          const tensor of await empty(observe && global.has(layer), [heads, keys.dims[1] ?? 0])
        ) {
          paid.push(into[port.attentionSums] = tensor);
        }
      }
      const [norms] = await empty(wantsNorms, [global.size * tokens]);
      if (norms) into[INPUT_NORMS] = norms;
      const [read] = await empty(wantsInputs, [global.size * tokens, model.hidden]);
      if (read) into[LAYER_INPUTS] = read;
      using room = await unseen.roomFor(inputs);
      Object.assign(into, room.into);
      using given = await stepFeeds(model, inputs, tensors, sentOnce);
      const outputs = await kernel.run(
        {
          ...given.feeds,
          ...slotFeeds(model, inputs.layers, tokens),
          counting: await counting.atLeast(most),
          [WANTED_INPUTS]: integers([wantsInputs ? tokens : 0]),
        },
        { fetches: [...new Set(["logits", ...Object.keys(into)])], into },
      );
      const seen = await room.seen(outputs);
      made.move();
      return {
        ...seen,
        ...{ queries: asked, attentionSums: paid },
        ...(norms ? { inputNorms: norms } : {}),
        ...(read ? { layerInputs: read } : {}),
      };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function slotFeeds({ kvHeads }: StepModel, layers: readonly SlottedLayer[], tokens: number) {
  const held = Float32Array.from(layers.flatMap(({ lengths }) => lengths));
  return {
    held: floats(held, [layers.length, kvHeads]),
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
