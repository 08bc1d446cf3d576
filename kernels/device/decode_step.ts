import { int32s } from "../session.ts";
import type { StepModel } from "../step_model.ts";
import { buildDecodeGraph } from "./decode_graph.ts";
import type { Device, DeviceTensor, GraphCapture } from "./device.ts";
import { layerPorts } from "./layer_ports.ts";
import { packedToken } from "./packed_tokens.ts";
import { createRotaryRooms, ROTARY_ROOM } from "./rotary_room.ts";
import type { DeviceStepInputs } from "./step_kernel.ts";
import type { WindowRooms } from "./window_attention.ts";

/** A step of one token, started as a whole. */
export interface DecodeKernel extends AsyncDisposable {
  /** Logits of the token. */
  run(inputs: DeviceStepInputs): Promise<Float32Array>;
}

/** Loads the graph that is captured. */
export async function createDecodeKernel(
  device: Device,
  capture: GraphCapture,
  model: StepModel,
  { half, windows }: { readonly half: boolean; readonly windows: WindowRooms },
): Promise<DecodeKernel> {
  const { headDim, vocabulary } = model;
  const ports = model.layers.map((_, layer) => layerPorts(layer));
  await using opening = new AsyncDisposableStack();
  const kernel = opening.use(await capture.load(buildDecodeGraph(model, half)));
  const token = opening.use(capture.tensor([1, model.ropes.length * headDim + 1], "float32"));
  const logits = opening.use(capture.tensor([1, vocabulary], "float32"));
  /** One set for each different number of tokens that layers hold: most often there is one. */
  const counts: { readonly last: DeviceTensor; readonly total: DeviceTensor }[] = [];
  const countsAt = (index: number) => {
    const known = counts[index];
    if (known) return known;
    const made = {
      last: opened.use(capture.tensor([1], "int32")),
      total: opened.use(capture.tensor([1], "int32")),
    };
    counts.push(made);
    return made;
  };
  const rooms = opening.use(createRotaryRooms(device, headDim, half ? "float16" : "float32"));
  const opened = opening.move();
  return {
    async run({ ids, rotary, layers }) {
      const rotaryRoom = await rooms.roomFor(layers);
      const inputs: Record<string, DeviceTensor> = { token, [ROTARY_ROOM]: rotaryRoom };
      const outputs: Record<string, DeviceTensor> = { logits };
      /** Layers of one kind with as many tokens share what counts them. */
      const kinds: string[] = [];
      const totals: number[] = [];
      for (const [layer, { keys, values, lengths }] of layers.entries()) {
        const port = ports[layer] ?? layerPorts(layer);
        const total = (lengths[0] ?? 0) + 1;
        const window = model.layerKinds[layer]?.window;
        const kind = `${window ?? "global"} ${total}`;
        if (!kinds.includes(kind)) {
          kinds.push(kind);
          totals.push(total);
        }
        const counted = countsAt(kinds.indexOf(kind));
        inputs[port.lastIndex] = counted.last;
        inputs[port.total] = counted.total;
        inputs[port.keys] = outputs[port.presentKeys] = batch(keys);
        inputs[port.values] = outputs[port.presentValues] = batch(values);
        if (window !== undefined) Object.assign(outputs, windows.outputs(layer, window));
      }
      kernel.write("token", token, packedToken({ ids, rotary }, headDim));
      for (const [index, total] of totals.entries()) {
        const { last, total: all } = countsAt(index);
        kernel.write("last_index", last, int32s([total - 1]));
        kernel.write("total", all, int32s([total]));
      }
      await kernel.run({ inputs, outputs });
      return kernel.floats("logits", logits);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };

  /** `[kvHeads, capacity, headDim]` as a batch of one. */
  function batch(tensor: DeviceTensor): DeviceTensor {
    return device.reshaped(tensor, [1, ...tensor.dims]);
  }
}
