import type { ElementType, Graph } from "../onnx/graph.ts";
import type { Tensor } from "../session.ts";
import type { ProviderName } from "./provider_probe.ts";

/** A tensor that stays where a device computes, owned by whoever asked for it. */
export interface DeviceTensor extends Disposable {
  /** Type of its numbers. */
  readonly type: ElementType;
  /** Its sizes. */
  readonly dims: readonly number[];
  /** Bytes that it takes. */
  readonly bytes: number;
}

/** Tells tensors of a device from arrays that are sent to it. */
export function isDeviceTensor(value: Tensor | DeviceTensor): value is DeviceTensor {
  return "bytes" in value;
}

/** What a device has done and holds. */
export interface DeviceUsage {
  /** Tensors that are not disposed of. */
  readonly tensors: number;
  /** Their bytes. */
  readonly bytes: number;
  /** Bytes of weights that lie on the device once for all graphs; graphs may hold others of their own. */
  readonly weights: number;
  /** Bytes that went to the device since it was opened. */
  readonly sent: number;
  /** Bytes that came back. */
  readonly received: number;
}

/** An array on its way to or from a device. */
export interface Crossing {
  readonly kernel: string;
  readonly name: string;
  readonly direction: "in" | "out";
  readonly bytes: number;
}

/** What a run gives: outputs that stay, and outputs that came to main memory. */
export interface DeviceOutputs {
  /** An output that stays. The caller owns it. */
  kept(name: string): DeviceTensor;
  /** An output in main memory. */
  floats(name: string): Float32Array;
  /** Whole numbers in main memory. */
  integers(name: string): Int32Array;
}

/** How a run departs from the usual one. */
export interface DeviceRun {
  /** Outputs that are wanted. @default {all of them} */
  readonly fetches?: readonly string[];
  /** Outputs that are written into tensors that exist, which may be inputs as well: all that stay. */
  readonly into?: Readonly<Record<string, DeviceTensor>>;
}

/** Inputs of a run: arrays that are sent, and tensors that are there. */
export type DeviceFeeds = Readonly<Record<string, Tensor | DeviceTensor>>;

/** A graph that is ready to run on a device. */
export interface DeviceKernel extends AsyncDisposable {
  run(
    feeds: DeviceFeeds,
    options?: DeviceRun,
  ): Promise<DeviceOutputs>;
}

/** How a graph is loaded on a device. */
export interface DeviceLoadOptions {
  /** Outputs that stay on the device, in tensors of their own. @default {none} */
  readonly stay?: readonly string[];
  /**
   * Whether what stays is written into tensors that a run is given. onnxruntime then makes none by
   * itself: outputs without a tensor come to main memory. @default {false}
   */
  readonly inPlace?: boolean;
}

/** A graph whose kernels are recorded when it first runs, and started all at once from then on. */
export interface CapturedKernel extends AsyncDisposable {
  /**
   * Runs the graph. A recording is of the very tensors that it was made with; others make another one. It
   * ends when one of its tensors is disposed of.
   */
  run(tensors: CapturedTensors): Promise<void>;
  /** Whether there is a recording for these tensors. Where there is none, the first run is several. */
  isRecorded(tensors: CapturedTensors): boolean;
  /** Writes numbers over those of a tensor; they count as an input of the graph. */
  write(name: string, tensor: DeviceTensor, numbers: Tensor): void;
  /** Numbers of a tensor of 32-bit floats, which count as an output of the graph. */
  floats(name: string, tensor: DeviceTensor): Float32Array;
}

/** What a captured graph reads and writes, all of it. */
export interface CapturedTensors {
  readonly inputs: Readonly<Record<string, DeviceTensor>>;
  readonly outputs: Readonly<Record<string, DeviceTensor>>;
}

/** What a device that can start a whole graph at once does. */
export interface GraphCapture {
  /** Loads a graph of which every node runs on the device and every size is known. */
  load(graph: Graph): Promise<CapturedKernel>;
  /** A tensor in which nothing lies yet. */
  tensor(dims: readonly number[], type: ElementType): DeviceTensor;
}

/** Where kernels run and tensors stay. */
export interface Device extends AsyncDisposable {
  readonly provider: ProviderName;
  /** Whether tensors stay on it between runs; otherwise they lie in main memory. */
  readonly resident: boolean;
  readonly usage: DeviceUsage;
  load(graph: Graph, options?: DeviceLoadOptions): Promise<DeviceKernel>;
  /** A tensor of zeros. */
  zeros(
    dims: readonly number[],
    type?: "float32" | "float16",
  ): Promise<DeviceTensor>;
  /** The same numbers under another shape. Owns nothing: valid as long as the tensor is. */
  reshaped(tensor: DeviceTensor, dims: readonly number[]): DeviceTensor;
  /** Starts whole graphs at once; absent where that is not possible. */
  readonly capture?: GraphCapture;
  /** Is told of each array that crosses. */
  onCrossing: ((crossing: Crossing) => void) | undefined;
}

/** Settings of {@linkcode openDevice}. */
export interface DeviceOptions {
  /** Threads of what runs on the processor. @default {1} */
  readonly threads?: number;
  /** Kernels that are handed to the driver at once; the first session of a process settles it. */
  readonly pendingDispatches?: number;
  /** Turns what the native library throws into what is thrown. @default {the error itself} */
  readonly explain?: (error: unknown, action: "load" | "run") => unknown;
}
