import type { ElementType } from "../onnx/graph.ts";
import type { DeviceTensor } from "./device.ts";

/** Type of the numbers in a device's cache. */
export type CacheElement = Extract<ElementType, "float32" | "float16">;

/** The tensors of one layer, `[kvHeads, capacity, headDim]` each. */
export interface LayerBuffers {
  /** Keys, rotated at their positions. */
  readonly keys: DeviceTensor;
  /** Values. */
  readonly values: DeviceTensor;
}
