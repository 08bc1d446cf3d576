import { ELEMENT_TYPE, type ElementType } from "../../onnx/graph.ts";
import { countedTensor, type HeldCounts } from "../counted_tensor.ts";
import type { DeviceTensor } from "../device.ts";
import { bytesOf } from "../tensor_data.ts";
import type { CApi, Handle } from "./c_api.ts";

/** Tensors of a device, and what onnxruntime knows them by. */
export interface HeldTensors {
  /** Takes a tensor over from onnxruntime. */
  hold(handle: Handle): DeviceTensor;
  handleOf(tensor: DeviceTensor): Handle;
  /** The same numbers under another shape, made once. */
  reshaped(tensor: DeviceTensor, dims: readonly number[]): DeviceTensor;
  /** Does something when a tensor, or the one whose numbers it shares, is disposed of. */
  onDispose(tensor: DeviceTensor, then: () => void): void;
}

interface Held {
  readonly handle: Handle;
  readonly views: Map<string, DeviceTensor>;
  readonly then: Set<() => void>;
  /** What holds the numbers. */
  readonly owner?: DeviceTensor;
}

/** Element types by their numbers in the ONNX format. */
const TYPES: ReadonlyMap<number, ElementType> = new Map(
  Object.entries(ELEMENT_TYPE).flatMap(([name, number]) =>
    isElementType(name) ? [[number, name] as const] : []
  ),
);

function isElementType(name: string): name is ElementType {
  return name in ELEMENT_TYPE;
}

/** Holds nothing yet. */
export function createHeldTensors(api: CApi, memory: Handle, counts: HeldCounts): HeldTensors {
  const known = new WeakMap<DeviceTensor, Held>();
  const find = (tensor: DeviceTensor): Held => {
    const held = known.get(tensor);
    if (held) return held;
    throw new TypeError("Cannot work with a tensor of another device, or one that is disposed of");
  };
  const release = (tensor: DeviceTensor): void => {
    const { handle, views, then } = find(tensor);
    for (const act of then) act();
    for (const view of views.values()) release(view);
    known.delete(tensor);
    api.releaseValue(handle);
  };
  return {
    hold(handle) {
      const type = TYPES.get(api.typeOf(handle)) ?? "uint8";
      const dims = api.dimsOf(handle);
      const tensor = countedTensor({ type, dims, bytes: bytesOf({ type, dims }) }, counts, release);
      known.set(tensor, { handle, views: new Map(), then: new Set() });
      return tensor;
    },
    handleOf: (tensor) => find(tensor).handle,
    reshaped(tensor, dims) {
      const { handle, views, owner = tensor } = find(tensor);
      const key = dims.join();
      const made = views.get(key);
      if (made) return made;
      const { type } = tensor;
      const bytes = bytesOf({ type, dims });
      const view: DeviceTensor = { type, bytes, dims, [Symbol.dispose]() {} };
      known.set(view, {
        handle: api.reshapedTensor(memory, handle, bytes, dims, ELEMENT_TYPE[type]),
        views: new Map(),
        then: new Set(),
        owner,
      });
      views.set(key, view);
      return view;
    },
    onDispose(tensor, then) {
      const held = find(tensor);
      (held.owner ? find(held.owner) : held).then.add(then);
    },
  };
}
