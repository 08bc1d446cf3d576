import type { ElementType, Graph } from "../../onnx/graph.ts";
import { ELEMENT_TYPE } from "../../onnx/graph.ts";
import type { Tensor } from "../../session.ts";
import type { Crossing, DeviceOptions, DeviceTensor } from "../device.ts";
import type { CApi, Handle } from "./c_api.ts";
import type { HeldTensors } from "./held_tensors.ts";

/** What the parts of a native device work with. */
export interface NativeContext {
  readonly api: CApi;
  readonly environment: Handle;
  /** Memory of the device. */
  readonly memory: Handle;
  /** Main memory. */
  readonly main: Handle;
  readonly held: HeldTensors;
  /** Does a piece of work; what onnxruntime throws there is thrown as it is to be shown. */
  guarded<T>(action: Parameters<NonNullable<DeviceOptions["explain"]>>[1], work: () => T): T;
  /** Counts and tells of an array that crosses. */
  cross(crossing: Crossing): void;
  /** Opens a session of a graph. */
  session(graph: Graph, provider?: Readonly<Record<string, string>>): NativeSession;
  /** Memory of the device for a tensor; what lies in it means nothing. */
  allocate(dims: readonly number[], type: ElementType): Handle;
}

/** A session, which owns its share of the weights. */
export interface NativeSession extends Disposable {
  readonly handle: Handle;
}

/** An array as onnxruntime takes it. The caller owns the handle; the array must live as long. */
export function wrapped(
  { api, main }: Pick<NativeContext, "api" | "main">,
  { data, dims, type }: Tensor,
): Handle {
  if (!ArrayBuffer.isView(data)) throw new TypeError(`Cannot send a tensor of ${type}`);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return api.wrapTensor(main, bytes, dims, elementNumber(type));
}

function elementNumber(type: string): number {
  for (const [name, number] of Object.entries(ELEMENT_TYPE)) if (name === type) return number;
  throw new TypeError(`Cannot send a tensor of ${type}`);
}

/** Bytes that onnxruntime holds in main memory, copied. */
export function readBytes(api: CApi, value: Handle, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  if (length > 0) new Deno.UnsafePointerView(api.dataOf(value)).copyInto(bytes);
  return bytes;
}

/** Numbers of a tensor on the device, copied to main memory. */
export function readTensor(context: NativeContext, tensor: DeviceTensor): Uint8Array<ArrayBuffer> {
  const { api, environment, main, held } = context;
  const bytes = new Uint8Array(tensor.bytes);
  const into = api.wrapTensor(main, bytes, tensor.dims, ELEMENT_TYPE[tensor.type]);
  try {
    api.copyTensors(environment, [held.handleOf(tensor)], [into]);
  } finally {
    api.releaseValue(into);
  }
  return bytes;
}
