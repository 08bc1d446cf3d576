import type { RotaryRows } from "../rope.ts";
import { floats, int32s } from "../session.ts";
import type { StepModel } from "../step_model.ts";
import {
  type AheadGraphOptions,
  aheadPorts,
  buildAheadGraph,
  MOST_AHEAD,
  PLAN_COLUMNS,
  planWidth,
  TOLD_COLUMNS,
} from "./ahead_graph.ts";
import type { DrawSettings } from "../draw_settings.ts";
import { drawColumns } from "./draw_nodes.ts";
import type { Device, DeviceTensor, GraphCapture } from "./device.ts";
import type { LayerBuffers } from "./layer_buffers.ts";
import { LOGIT_BLOCK, rowsOfStep } from "./likeliest_token.ts";
import { createRotaryRooms, ROTARY_ROOM } from "./rotary_room.ts";
import { countedKinds, type WindowRooms } from "./window_attention.ts";

/** Steps that are to be run one behind another. */
export interface AheadInputs {
  /** What the first step reads; the others read what the step before found. */
  readonly id: number;
  /** Rotary tables of each step's token: as many steps as there are. */
  readonly rotary: readonly (readonly RotaryRows[])[];
  /** Layers with room for all steps, those of a kind with as many tokens in all heads. */
  readonly layers: readonly AheadLayer[];
  /** How tokens are drawn. @default {the likeliest is taken} */
  readonly draw?: AheadDraw;
  /**
   * Whether the logits of a step are wanted, and what was run behind it is not. @default {those of all
   * steps are}
   */
  readonly endsAt?: (told: AheadTold) => boolean;
}

/** How tokens are drawn that nobody has asked for yet. */
export interface AheadDraw {
  readonly settings: DrawSettings;
  /** A random number for each step. */
  readonly uniforms: readonly number[];
  /** Tokens that were seen, the first step's among them. */
  readonly seen: Iterable<number>;
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

/** What a step tells. */
export interface AheadTold {
  /** The id that it read. */
  readonly id: number;
  /** The one that follows. */
  readonly found: number;
  /** Whether main memory would have found the same. */
  readonly certain: boolean;
}

/** A step that was run. */
export interface AheadStep extends AheadTold {
  /** Where they were wanted. */
  readonly logits?: Float32Array;
}

/** Loads the graph, which is captured when it first runs. */
export async function createAheadKernel(
  device: Device,
  capture: GraphCapture,
  model: StepModel,
  { windows, ...options }: AheadGraphOptions & { readonly windows: WindowRooms },
): Promise<AheadKernel> {
  const { headDim, vocabulary } = model;
  const kinds = countedKinds(model);
  const rows = rowsOfStep(vocabulary);
  const width = planWidth(model, options.draws);
  await using opening = new AsyncDisposableStack();
  const kernel = opening.use(await capture.load(buildAheadGraph(model, options)));
  const plan = opening.use(capture.tensor([MOST_AHEAD, width], "float32"));
  const turn = opening.use(capture.tensor([1], "int32"));
  const found = opening.use(capture.tensor([1], "int32"));
  const logits = opening.use(capture.tensor([MOST_AHEAD * rows, LOGIT_BLOCK], "float32"));
  const told = opening.use(capture.tensor([MOST_AHEAD, TOLD_COLUMNS.length], "float32"));
  const seen = options.draws
    ? opening.use(capture.tensor([rows * LOGIT_BLOCK], "float32"))
    : undefined;
  kernel.write("turn", turn, int32s([0]));
  kernel.write("found", found, int32s([0]));
  if (seen) sendSeen([]);
  const element = options.half ? "float16" : "float32";
  const rooms = opening.use(createRotaryRooms(device, headDim, element));
  const opened = opening.move();
  let next = 0;
  return {
    most: MOST_AHEAD,
    async run({ id, rotary, layers, draw, endsAt }) {
      const steps = rotary.length;
      const held = kinds.map((window) =>
        layers.find((_, layer) => model.layerKinds[layer]?.window === window)?.lengths[0] ?? 0
      );
      const rotaryRoom = await rooms.roomFor(layers);
      const inputs: Record<string, DeviceTensor> = {
        ...{ plan, turn, found, told, all_logits: logits, [ROTARY_ROOM]: rotaryRoom },
        ...seen ? { seen } : {},
      };
      const outputs: Record<string, DeviceTensor> = {
        ...{ next_turn: turn, next_found: found, written_logits: logits, written_told: told },
        ...seen ? { next_seen: seen } : {},
      };
      for (const [layer, { keys, values }] of layers.entries()) {
        const port = aheadPorts(layer);
        inputs[port.keys] = outputs[port.presentKeys] = batch(keys);
        inputs[port.values] = outputs[port.presentValues] = batch(values);
        const window = model.layerKinds[layer]?.window;
        if (window !== undefined) Object.assign(outputs, windows.outputs(layer, window));
      }
      const rowOf = (step: number, following: number): Float32Array => {
        const row = new Float32Array(width);
        let at = 0;
        for (const table of (rotary[step] ?? []).flatMap(({ cos, sin }) => [cos, sin])) {
          row.set(table, at);
          at += table.length;
        }
        const first = step === 0;
        row.set(held.map((count) => count + step), at);
        at += held.length;
        row.set([first ? id : 0, first ? 1 : 0, step, following], at);
        if (draw) {
          row.set(drawColumns(draw.settings, draw.uniforms[step] ?? 0), at + PLAN_COLUMNS.length);
        }
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
      // Where nothing is less likely for having been seen, it does not matter what was.
      if (draw && draw.settings.repetitionPenalty !== 1) sendSeen(draw.seen);
      for (let step = 0; step < steps; step++) {
        await kernel.run({ inputs, outputs });
        next = (next + 1) % MOST_AHEAD;
      }
      const logitsOf = (first: number, count: number): Float32Array[] => {
        const view = device.reshaped(logits, [(first + count) * rows, LOGIT_BLOCK]);
        const all = kernel.floats("logits", view);
        return Array.from({ length: count }, (_, step) => {
          const at = (first + step) * rows * LOGIT_BLOCK;
          return all.subarray(at, at + vocabulary);
        });
      };
      const columns = TOLD_COLUMNS.length;
      const numbers = kernel.floats("told", device.reshaped(told, [steps, columns]));
      const all = Array.from({ length: steps }, (_, step): AheadTold => {
        const [id = NaN, found = NaN, certain] = numbers.subarray(step * columns);
        return { id, found, certain: certain === 1 };
      });
      if (!endsAt) {
        const each = logitsOf(0, steps);
        return all.map((step, index) => ({ ...step, logits: each[index] ?? new Float32Array(0) }));
      }
      const end = all.findIndex(endsAt);
      if (end < 0) return all;
      const [last = new Float32Array(0)] = logitsOf(end, 1);
      return all.slice(0, end + 1).map((step, index) =>
        index === end ? { ...step, logits: last } : step
      );
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };

  function sendSeen(ids: Iterable<number>): void {
    if (!seen) return;
    const marks = new Float32Array(rows * LOGIT_BLOCK);
    for (const id of ids) if (id < vocabulary) marks[id] = 1;
    kernel.write("seen", seen, floats(marks, [marks.length]));
  }

  /** `[kvHeads, capacity, headDim]` as a batch of one. */
  function batch(tensor: DeviceTensor): DeviceTensor {
    return device.reshaped(tensor, [1, ...tensor.dims]);
  }
}
