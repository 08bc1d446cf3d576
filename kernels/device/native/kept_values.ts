import type { Tensor } from "../../session.ts";
import type { CApi, Handle } from "./c_api.ts";
import { wrapped } from "./native_context.ts";

/** Tensors over arrays as onnxruntime knows them, kept from one run to the next. */
export interface KeptValues {
  /**
   * The value of a tensor over memory that can be resized, as a KV cache's is: it lies at one address for
   * as long as it lives. The arrays of the tensors that are given must live while something runs.
   */
  valueOf(tensor: Tensor): Handle;
  /** Counts a run: what it uses is not given back before it is disposed of. */
  running(): Disposable;
  /** Whether a tensor's value can be kept. */
  keeps(tensor: Tensor): boolean;
}

interface Kept {
  readonly handle: Handle;
  readonly type: Tensor["type"];
  readonly offset: number;
  readonly dims: readonly number[];
}

/** Keeps nothing yet. */
export function createKeptValues(
  context: { readonly api: CApi; readonly main: Handle },
): KeptValues {
  const { api } = context;
  const known = new WeakMap<ArrayBufferLike, Kept>();
  const outdated: Handle[] = [];
  let runs = 0;
  const release = (handle: Handle): void => {
    if (runs > 0) outdated.push(handle);
    else api.releaseValue(handle);
  };
  // Whoever runs holds the memory: a value of memory that is gone is used by nobody.
  const forgotten = new FinalizationRegistry((handle: Handle) => api.releaseValue(handle));
  const fits = ({ type, offset, dims }: Kept, tensor: Tensor, from: number) =>
    type === tensor.type && offset === from && dims.length === tensor.dims.length &&
    dims.every((size, axis) => size === tensor.dims[axis]);
  const lying = ({ data }: Tensor) => ArrayBuffer.isView(data) ? data : undefined;
  return {
    keeps(tensor) {
      const buffer = lying(tensor)?.buffer;
      return buffer instanceof ArrayBuffer && buffer.resizable;
    },
    valueOf(tensor) {
      const data = lying(tensor);
      if (!data) throw new TypeError(`Cannot send a tensor of ${tensor.type}`);
      const kept = known.get(data.buffer);
      if (kept && fits(kept, tensor, data.byteOffset)) return kept.handle;
      if (kept) {
        forgotten.unregister(kept.handle);
        release(kept.handle);
      }
      const handle = wrapped(context, tensor);
      const { type } = tensor;
      known.set(data.buffer, { handle, type, offset: data.byteOffset, dims: [...tensor.dims] });
      forgotten.register(data.buffer, handle, handle);
      return handle;
    },
    running() {
      runs++;
      return {
        [Symbol.dispose]() {
          runs--;
          if (runs === 0) { for (const handle of outdated.splice(0)) api.releaseValue(handle); }
        },
      };
    },
  };
}
