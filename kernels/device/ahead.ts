import type { RotaryRows } from "../rope.ts";
import { floats, int32s } from "../session.ts";
import type { StepModel } from "../step_model.ts";
import {
  aheadPorts,
  buildAheadGraph,
  LOGIT_BLOCK,
  MOST_AHEAD,
  PLAN_COLUMNS,
  rowsOfStep,
} from "./ahead_graph.ts";
import type { Device, DeviceTensor, GraphCapture } from "./device.ts";
import type { LayerBuffers } from "./layer_buffers.ts";
import { createRotaryRooms, ROTARY_ROOM } from "./rotary_room.ts";

/** Steps that are to be run one behind another. */
export interface AheadInputs {
  /** What the first step reads; the others read the likeliest token behind that of the step before. */
  readonly id: number;
  /** Rotary tables of each step's token: as many steps as there are. */
  readonly rotary: readonly (readonly RotaryRows[])[];
  /** Layers with room for all steps, each with as many tokens in all heads. */
  readonly layers: readonly AheadLayer[];
}

/** A layer of the cache behind which steps run ahead. */
export interface AheadLayer extends LayerBuffers {
  /** Tokens of each KV head. */
  readonly lengths: readonly number[];
}

/** Decoding steps that feed one another, several for one turn of the processor. */
export interface AheadKernel extends AsyncDisposable {
  /** Steps at most. */
  readonly most: number;
  /** What each step gives. */
  run(inputs: AheadInputs): Promise<readonly AheadStep[]>;
}

/** A step that was run. */
export interface AheadStep {
  /** The id that it read. */
  readonly id: number;
  readonly logits: Float32Array;
}

/** Loads the graph, which is captured when it first runs. */
export async function createAheadKernel(
  device: Device,
  capture: GraphCapture,
  model: StepModel,
  half: boolean,
): Promise<AheadKernel> {
  const { headDim, ropes, vocabulary } = model;
  const rows = rowsOfStep(vocabulary);
  const width = headDim * ropes.length + PLAN_COLUMNS.length;
  await using opening = new AsyncDisposableStack();
  const kernel = opening.use(await capture.load(buildAheadGraph(model, half)));
  const plan = opening.use(capture.tensor([MOST_AHEAD, width], "float32"));
  const turn = opening.use(capture.tensor([1], "int32"));
  const found = opening.use(capture.tensor([1], "int32"));
  const logits = opening.use(capture.tensor([MOST_AHEAD * rows, LOGIT_BLOCK], "float32"));
  kernel.write("turn", turn, int32s([0]));
  kernel.write("found", found, int32s([0]));
  const rooms = opening.use(createRotaryRooms(device, headDim, half ? "float16" : "float32"));
  const opened = opening.move();
  let next = 0;
  return {
    most: MOST_AHEAD,
    async run({ id, rotary, layers }) {
      const steps = rotary.length;
      const held = layers[0]?.lengths[0] ?? 0;
      const rotaryRoom = await rooms.roomFor(layers);
      const inputs: Record<string, DeviceTensor> = {
        ...{ plan, turn, found, all_logits: logits, [ROTARY_ROOM]: rotaryRoom },
      };
      const outputs: Record<string, DeviceTensor> = {
        ...{ next_turn: turn, next_found: found, written_logits: logits },
      };
      for (const [layer, { keys, values }] of layers.entries()) {
        const port = aheadPorts(layer);
        inputs[port.keys] = outputs[port.presentKeys] = batch(keys);
        inputs[port.values] = outputs[port.presentValues] = batch(values);
      }
      const rowOf = (step: number, following: number): Float32Array => {
        const row = new Float32Array(width);
        let at = 0;
        for (const table of (rotary[step] ?? []).flatMap(({ cos, sin }) => [cos, sin])) {
          row.set(table, at);
          at += table.length;
        }
        row.set([held + step, step === 0 ? id : 0, step === 0 ? 1 : 0, step, following], at);
        return row;
      };
      const packed = new Float32Array(MOST_AHEAD * width);
      const send = () => kernel.write("plan", plan, floats(packed, [MOST_AHEAD, width]));
      if (!kernel.isRecorded({ inputs, outputs })) {
        // A recording is run several times: whichever row is next, it is the first step.
        for (let row = 0; row < MOST_AHEAD; row++) packed.set(rowOf(0, 0), row * width);
        send();
        await kernel.run({ inputs, outputs });
        kernel.write("turn", turn, int32s([0]));
        next = 0;
      }
      for (let step = 0; step < steps; step++) {
        const row = (next + step) % MOST_AHEAD;
        packed.set(rowOf(step, (row + 1) % MOST_AHEAD), row * width);
      }
      send();
      for (let step = 0; step < steps; step++) {
        await kernel.run({ inputs, outputs });
        next = (next + 1) % MOST_AHEAD;
      }
      const all = kernel.floats("logits", device.reshaped(logits, [steps * rows, LOGIT_BLOCK]));
      return Array.from({ length: steps }, (_, step) => {
        const own = all.subarray(step * rows * LOGIT_BLOCK, (step + 1) * rows * LOGIT_BLOCK);
        return { id: own[(rows - 1) * LOGIT_BLOCK] ?? NaN, logits: own.subarray(0, vocabulary) };
      });
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };

  /** `[kvHeads, capacity, headDim]` as a batch of one. */
  function batch(tensor: DeviceTensor): DeviceTensor {
    return device.reshaped(tensor, [1, ...tensor.dims]);
  }
}
