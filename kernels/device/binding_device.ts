import * as ort from "npm:onnxruntime-node@1.30.0";
import { encodeModel } from "../onnx/encode.ts";
import type { ElementType } from "../onnx/graph.ts";
import { halfBits, halves, locatedFiles } from "../session.ts";
import { countedTensor } from "./counted_tensor.ts";
import {
  type Crossing,
  type Device,
  type DeviceOptions,
  type DeviceTensor,
  isDeviceTensor,
} from "./device.ts";
import type { ProviderName } from "./provider_probe.ts";
import { bytesOf, floatsIn, integersIn } from "./tensor_data.ts";
import { createZeroMaker } from "./zeros.ts";

/**
 * Opens a device through onnxruntime's Node binding. Tensors of `webgpu` stay in its buffers. The
 * binding has no buffers of other providers: theirs lie in main memory and are copied for each run.
 */
export function openBindingDevice(
  provider: ProviderName,
  { threads = 1, explain = (error) => error }: DeviceOptions = {},
): Device {
  const explained = <T>(action: "load" | "run", work: Promise<T>): Promise<T> =>
    work.catch((error) => {
      throw explain(error, action);
    });
  const resident = provider === "webgpu";
  const counts = { tensors: 0, bytes: 0, sent: 0, received: 0 };
  const tensors = new WeakMap<DeviceTensor, ort.Tensor>();
  const tensorOf = (held: DeviceTensor): ort.Tensor => {
    const tensor = tensors.get(held);
    if (tensor) return tensor;
    throw new TypeError("Cannot run with a tensor of another device");
  };
  const hold = (made: ort.Tensor): DeviceTensor => {
    const tensor = resident ? made : readable(made);
    const type = tensor.type as ElementType;
    const described = { type, dims: tensor.dims, bytes: bytesOf(tensor) };
    const held = countedTensor(described, counts, () => {
      if (resident) tensor.dispose();
    });
    tensors.set(held, tensor);
    return held;
  };
  const device: Device = {
    provider,
    resident,
    onCrossing: undefined,
    get usage() {
      return { ...counts, weights: 0 };
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
            if (isDeviceTensor(value)) given[name] = tensorOf(value);
            else {
              given[name] = value;
              cross(name, "in", value);
            }
          }
          const wanted = Object.fromEntries(
            fetches.map((name) => {
              const given = into[name];
              return [name, given ? tensorOf(given) : null];
            }),
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
            floats: (name) => floatsIn(output(name).data, name, graph.name),
            integers: (name) => integersIn(output(name).data, name, graph.name),
          };
        },
        [Symbol.asyncDispose]: () => session.release(),
      };
    },
    zeros: (dims, type) => maker.zeros(dims, type),
    reshaped(tensor, dims) {
      const own = tensorOf(tensor);
      const view = resident
        ? ort.Tensor.fromGpuBuffer(own.gpuBuffer, { dataType: floatType(tensor), dims })
        : alike(own, dims);
      const reshaped: DeviceTensor = { ...tensor, dims, [Symbol.dispose]() {} };
      tensors.set(reshaped, view);
      return reshaped;
    },
    [Symbol.asyncDispose]: () => maker[Symbol.asyncDispose](),
  };
  const maker = createZeroMaker(device);
  return device;
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
