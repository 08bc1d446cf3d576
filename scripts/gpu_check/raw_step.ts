import { createAheadKernel } from "../../kernels/device/ahead.ts";
import { buildAheadGraph } from "../../kernels/device/ahead_graph.ts";
import { openBindingDevice } from "../../kernels/device/binding_device.ts";
import { buildDecodeGraph } from "../../kernels/device/decode_graph.ts";
import { createWindowRooms } from "../../kernels/device/window_attention.ts";
import type { Device, DeviceTensor } from "../../kernels/device/device.ts";
import { buildEvenStepGraph } from "../../kernels/device/device_step_graph.ts";
import { layerPorts } from "../../kernels/device/layer_ports.ts";
import { oneInteger } from "../../kernels/device/one_integer.ts";
import { openDevice } from "../../kernels/device/open_device.ts";
import { packedToken, packedTokens } from "../../kernels/device/packed_tokens.ts";
import { ROTARY_ROOM } from "../../kernels/device/rotary_room.ts";
import type { Graph } from "../../kernels/onnx/graph.ts";
import { floats, int32s } from "../../kernels/session.ts";
import { rotaryRows } from "../../kernels/rope.ts";
import type { StepModel } from "../../kernels/step_model.ts";
import type { Trial } from "./trials.ts";

/** A decoding step behind tokens that are held. */
export interface RawStep extends AsyncDisposable {
  readonly graph: Graph;
  readonly device: Device;
  /** Steps of a run. */
  readonly steps: number;
  /** Runs a step; logits come to main memory. */
  run(): Promise<void>;
  /** Runs a step; logits stay, so that nobody waits for the device. */
  runAhead(): Promise<void>;
}

/** Loads a step over a cache that is filled with zeros. */
export async function openRawStep(
  model: StepModel,
  { device: provider, half, trial }: {
    readonly device: "webgpu" | "cpu";
    readonly half: boolean;
    readonly trial: Trial;
  },
): Promise<RawStep> {
  const {
    held = 512,
    binding = false,
    pending,
    captured = false,
    ahead,
    draws = false,
    idsAlone = false,
  } = trial;
  const device = binding ? openBindingDevice(provider) : openDevice(provider, {
    ...pending === undefined ? {} : { pendingDispatches: pending },
  });
  const { kvHeads, headDim, vocabulary } = model;
  const element = half ? "float16" : "float32";
  const slots = ahead ? [kvHeads, held + ahead, headDim] : [1, kvHeads, held + 1, headDim];
  const caches: { readonly keys: DeviceTensor; readonly values: DeviceTensor }[] = [];
  while (caches.length < model.layers.length) {
    caches.push({
      keys: await device.zeros(slots, element),
      values: await device.zeros(slots, element),
    });
  }
  const cached = <T>(make: (port: ReturnType<typeof layerPorts>, layer: number) => T) =>
    Object.assign({}, ...caches.map((_, layer) => make(layerPorts(layer), layer)));
  const past = cached(({ keys, values }, layer) => ({
    [keys]: caches[layer]?.keys,
    [values]: caches[layer]?.values,
  }));
  const present = cached(({ presentKeys, presentValues }, layer) => ({
    [presentKeys]: caches[layer]?.keys,
    [presentValues]: caches[layer]?.values,
  }));
  const logits = await device.zeros([1, vocabulary]);
  const rotary = model.ropes.map(() => rotaryRows(new Float32Array(headDim / 2), 0, 1));
  if (ahead) {
    const { capture } = device;
    if (!capture) throw new Error("This device captures no graphs");
    const windows = createWindowRooms(capture, model, element);
    const kernel = await createAheadKernel(device, capture, model, { half, draws, windows });
    const lengths = new Array<number>(kvHeads).fill(held);
    const steps = new Array(ahead).fill(rotary);
    const settings = { temperature: 0.8, topK: 40, topP: 0.95, minP: 0, repetitionPenalty: 1.1 };
    const uniforms = Array.from({ length: ahead }, (_, step) => (step + 0.5) / ahead);
    const run = async () => {
      await kernel.run({
        id: 5,
        rotary: steps,
        layers: caches.map((layer) => ({ ...layer, lengths })),
        ...idsAlone || draws ? { endsAt: () => false } : {},
        ...draws ? { draw: { settings, uniforms, seen: [5] } } : {},
      });
    };
    return {
      graph: buildAheadGraph(model, { half, draws }),
      device,
      steps: ahead,
      run,
      runAhead: run,
      async [Symbol.asyncDispose]() {
        await kernel[Symbol.asyncDispose]();
        windows[Symbol.dispose]();
        await device[Symbol.asyncDispose]();
      },
    };
  }
  if (captured) {
    const { capture } = device;
    if (!capture) throw new Error("This device captures no graphs");
    const graph = buildDecodeGraph(model, half);
    const kernel = await capture.load(graph);
    const [token, last, total] = [
      capture.tensor([1, rotary.length * headDim + 1], "float32"),
      capture.tensor([1], "int32"),
      capture.tensor([1], "int32"),
    ];
    const inputs = {
      ...past,
      token,
      [ROTARY_ROOM]: await device.zeros([held + 1, headDim / 2], element),
      ...cached((port) => ({ [port.lastIndex]: last, [port.total]: total })),
    };
    const windows = createWindowRooms(capture, model, element);
    const seen = model.layerKinds.map(({ window }, layer) =>
      window === undefined ? {} : windows.outputs(layer, window)
    );
    const outputs = Object.assign({ ...present, logits }, ...seen);
    const runAhead = async () => {
      kernel.write("token", token, packedToken({ ids: [5], rotary }, headDim));
      kernel.write("last_index", last, int32s([held]));
      kernel.write("total", total, int32s([held + 1]));
      await kernel.run({ inputs, outputs });
    };
    return {
      graph,
      device,
      steps: 1,
      runAhead,
      async run() {
        await runAhead();
        kernel.floats("logits", logits);
      },
      async [Symbol.asyncDispose]() {
        await kernel[Symbol.asyncDispose]();
        windows[Symbol.dispose]();
        await device[Symbol.asyncDispose]();
      },
    };
  }
  const { graph, queries } = buildEvenStepGraph(model, { half });
  const stay = [...Object.keys(present), ...queries];
  const kernel = await device.load(graph, { stay, inPlace: true });
  const lastIndex = device.resident ? await oneInteger(device) : int32s([held]);
  const feeds = {
    ...past,
    ...packedTokens({ ids: [5], rotary, rows: [0] }, headDim),
    embeddings: floats(new Float32Array(0), [0, model.hidden]),
    ...cached((port) => ({ [port.lastIndex]: lastIndex, [port.total]: int32s([held + 1]) })),
  };
  const fetches = ["logits", ...Object.keys(present)];
  return {
    graph,
    device,
    steps: 1,
    async run() {
      await kernel.run(feeds, { fetches, into: present });
    },
    async runAhead() {
      await kernel.run(feeds, { fetches, into: { ...present, logits } });
    },
    async [Symbol.asyncDispose]() {
      await kernel[Symbol.asyncDispose]();
      await device[Symbol.asyncDispose]();
    },
  };
}

/** Nodes of a graph, those of one branch of each `If` included. */
export function nodeCount({ nodes }: Graph): number {
  return nodes.reduce((sum, { attributes }) => {
    const [branch] = Object.values(attributes).filter((one) => "graph" in one);
    return sum + 1 + (branch ? nodeCount(branch.graph) : 0);
  }, 0);
}
