import * as ort from "npm:onnxruntime-node@1.30.0";
import { encodeModel } from "../onnx/encode.ts";
import { cast } from "../onnx/cast.ts";
import { createGraph, type ElementType, type Graph } from "../onnx/graph.ts";
import { halfBits, halves, integers, locatedFiles, narrowed } from "../session.ts";
import type { ProviderName } from "./provider_probe.ts";

/** A tensor that stays where a device computes, owned by whoever asked for it. */
export interface DeviceTensor extends Disposable {
  /** Type of its numbers. */
  readonly type: ElementType;
  /** Its sizes. */
  readonly dims: readonly number[];
  /** Bytes that it takes. */
  readonly bytes: number;
  /**
   * What onnxruntime sees.
   *
   * @internal
   */
  readonly tensor: ort.Tensor;
}

/** What a device has done and holds. */
export interface DeviceUsage {
  /** Tensors that are not disposed of. */
  readonly tensors: number;
  /** Their bytes. */
  readonly bytes: number;
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

/** A graph that is ready to run on a device. */
export interface DeviceKernel extends AsyncDisposable {
  run(
    feeds: Readonly<Record<string, ort.Tensor | DeviceTensor>>,
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
  /** Is told of each array that crosses. */
  onCrossing: ((crossing: Crossing) => void) | undefined;
}

/** Settings of {@linkcode openDevice}. */
export interface DeviceOptions {
  /** Threads of what runs on the processor. @default {1} */
  readonly threads?: number;
  /** Turns what the native library throws into what is thrown. @default {the error itself} */
  readonly explain?: (error: unknown, action: "load" | "run") => unknown;
}

/**
 * Opens a device. Tensors of `webgpu` stay in its buffers. onnxruntime's Node binding has no buffers
 * of other providers: theirs lie in main memory and are copied for each run.
 */
export function openDevice(
  provider: ProviderName,
  { threads = 1, explain = (error) => error }: DeviceOptions = {},
): Device {
  const explained = <T>(action: "load" | "run", work: Promise<T>): Promise<T> =>
    work.catch((error) => {
      throw explain(error, action);
    });
  const resident = provider === "webgpu";
  const counts = { tensors: 0, bytes: 0, sent: 0, received: 0 };
  const hold = (made: ort.Tensor): DeviceTensor => {
    const tensor = resident ? made : readable(made);
    const bytes = bytesOf(tensor);
    counts.tensors++;
    counts.bytes += bytes;
    let disposed = false;
    return {
      type: tensor.type as ElementType,
      dims: tensor.dims,
      bytes,
      tensor,
      [Symbol.dispose]() {
        if (disposed) return;
        disposed = true;
        counts.tensors--;
        counts.bytes -= bytes;
        if (resident) tensor.dispose();
      },
    };
  };
  const makers = new Map<string, Promise<DeviceKernel>>();
  const device: Device = {
    provider,
    resident,
    onCrossing: undefined,
    get usage() {
      return { ...counts };
    },
    async load(graph, { stay = [], inPlace = false } = {}) {
      const names = graph.outputs.map(({ name }) => name);
      const staying = new Set(stay);
      const { folder, graph: located } = locatedFiles(graph);
      const creating = ort.InferenceSession.create(encodeModel(located), {
        executionProviders: [provider],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        logSeverityLevel: 4,
        ...(resident && !inPlace
          ? {
            preferredOutputLocation: Object.fromEntries(
              names.map((name) => [name, staying.has(name) ? "gpu-buffer" : "cpu"] as const),
            ),
          }
          : {}),
        extra: {
          session: {
            model_external_initializers_file_folder_path: folder,
            "intra_op.allow_spinning": "0",
          },
        },
      });
      const session = await explained("load", creating);
      const cross = (name: string, direction: Crossing["direction"], tensor: ort.Tensor) => {
        const bytes = bytesOf(tensor);
        counts[direction === "in" ? "sent" : "received"] += bytes;
        device.onCrossing?.({ kernel: graph.name, name, direction, bytes });
      };
      return {
        async run(feeds, { fetches = names, into = {} } = {}) {
          const given: Record<string, ort.Tensor> = {};
          for (const [name, value] of Object.entries(feeds)) {
            if ("tensor" in value) given[name] = value.tensor;
            else {
              given[name] = value;
              cross(name, "in", value);
            }
          }
          const wanted = Object.fromEntries(
            fetches.map((name) => [name, into[name]?.tensor ?? null]),
          );
          const found = await explained("run", session.run(given, wanted));
          for (const name of fetches) {
            const tensor = found[name];
            if (tensor && !staying.has(name) && !into[name]) cross(name, "out", tensor);
          }
          const output = (name: string): ort.Tensor => {
            const tensor = found[name];
            if (!tensor) throw new RangeError(`Cannot find output '${name}' of ${graph.name}`);
            return tensor;
          };
          return {
            kept: (name) => hold(output(name)),
            floats(name) {
              const { data } = output(name);
              if (!(data instanceof Float32Array)) {
                throw new TypeError(`Cannot read '${name}' of ${graph.name} as float32`);
              }
              return data;
            },
            integers(name) {
              const { data } = output(name);
              if (data instanceof BigInt64Array) return narrowed(data);
              if (data instanceof Int32Array) return data;
              throw new TypeError(`Cannot read '${name}' of ${graph.name} as whole numbers`);
            },
          };
        },
        [Symbol.asyncDispose]: () => session.release(),
      };
    },
    async zeros(dims, type = "float32") {
      const key = `${type} ${dims.length}`;
      const made = makers.get(key) ?? device.load(zeros(type, dims.length), { stay: ["zeros"] });
      makers.set(key, made);
      return (await (await made).run({ size: integers(dims) })).kept("zeros");
    },
    reshaped: (tensor, dims) => ({
      ...tensor,
      dims,
      tensor: resident
        ? ort.Tensor.fromGpuBuffer(tensor.tensor.gpuBuffer, { dataType: floatType(tensor), dims })
        : alike(tensor.tensor, dims),
      [Symbol.dispose]() {},
    }),
    async [Symbol.asyncDispose]() {
      const loaded = [...makers.values()];
      makers.clear();
      for (const kernel of loaded) await (await kernel)[Symbol.asyncDispose]();
    },
  };
  return device;
}

function zeros(type: "float32" | "float16", rank: number): Graph {
  const graph = createGraph("zeros");
  graph.input("size", "int64", ["R"]);
  const zero = graph.constant(new Float32Array(1), [1]);
  const typed = type === "float32" ? zero : cast(graph, zero, "float16");
  // Not ConstantOfShape, which would make its zeros on the processor.
  graph.op("Expand", [typed, "size"], { names: ["zeros"] });
  graph.output("zeros", type, Array.from({ length: rank }, (_, axis) => `D${axis}`));
  return graph.build();
}

/** A tensor in main memory as native code can read it again. */
function readable(tensor: ort.Tensor): ort.Tensor {
  return tensor.data instanceof Float16Array ? halves(tensor.data, tensor.dims) : tensor;
}

/** A tensor over the same array in main memory. */
function alike({ type, data }: ort.Tensor, dims: readonly number[]): ort.Tensor {
  if (data instanceof Uint16Array && type === "float16") return halfBits(data, dims);
  if (data instanceof Float32Array) return new ort.Tensor("float32", data, dims);
  throw new TypeError(`Cannot give a tensor of ${type} another shape: it must hold floats`);
}

function floatType({ type }: DeviceTensor): "float32" | "float16" {
  if (type === "float32" || type === "float16") return type;
  throw new TypeError(`Cannot give a tensor of ${type} another shape: it must hold floats`);
}

const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  float32: 4,
  int32: 4,
  int64: 8,
  float16: 2,
  uint8: 1,
  int8: 1,
  bool: 1,
};

function bytesOf({ type, dims }: ort.Tensor): number {
  return dims.reduce((product, size) => product * size, ELEMENT_BYTES[type] ?? 4);
}
