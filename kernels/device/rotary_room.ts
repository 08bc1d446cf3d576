import type { GraphBuilder, Value } from "../onnx/graph.ts";
import { rotaryNames } from "../rotary_inputs.ts";
import type { StepModel } from "../step_model.ts";
import type { Device, DeviceTensor } from "./device.ts";
import type { CacheElement } from "./layer_buffers.ts";

/** Input of graphs whose attention rotates: zeros `[slots, headDim / 2]` of the cache's type. */
export const ROTARY_ROOM = "rotary_room";

/**
 * Tables for an attention operator that rotates the only token of a step. It looks a row up by where the
 * token lies in the cache, which after an eviction says nothing of its position: so all rows are the
 * token's own, one for each slot.
 *
 * @returns The tables of each of the model's ropes: cosines, sines.
 */
export function repeatedTables(
  plain: GraphBuilder,
  { ropes, headDim }: Pick<StepModel, "ropes" | "headDim">,
  element: CacheElement,
): readonly (readonly Value[])[] {
  plain.input(ROTARY_ROOM, element, ["rotary_rows", headDim / 2]);
  return [...ropes.keys()].map((rope) =>
    rotaryNames(rope).map((table) => plain.op("Add", [ROTARY_ROOM, table]))
  );
}

/** Zeros for {@linkcode ROTARY_ROOM}, made once for each size. Owns them. */
export interface RotaryRooms extends Disposable {
  /** One with a row for each slot of the largest of these layers. */
  roomFor(layers: readonly { readonly keys: DeviceTensor }[]): Promise<DeviceTensor>;
}

/** Rows of the smallest room. */
const LEAST_ROWS = 256;

/** Makes none yet. Sizes double, so that a cache that grows needs few. */
export function createRotaryRooms(
  device: Device,
  headDim: number,
  element: CacheElement,
): RotaryRooms {
  const made = new Map<number, DeviceTensor>();
  return {
    async roomFor(layers) {
      const slots = Math.max(...layers.map(({ keys }) => keys.dims[1] ?? 0));
      const rows = Math.max(LEAST_ROWS, 2 ** Math.ceil(Math.log2(slots)));
      const room = made.get(rows) ?? await device.zeros([rows, headDim / 2], element);
      made.set(rows, room);
      return room;
    },
    [Symbol.dispose]() {
      for (const room of made.values()) room[Symbol.dispose]();
      made.clear();
    },
  };
}
