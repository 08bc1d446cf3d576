import { setImmediate } from "node:timers/promises";
import { encodeModel } from "../../onnx/encode.ts";
import { createGraph, ELEMENT_TYPE, type Graph } from "../../onnx/graph.ts";
import { locatedFiles } from "../../session.ts";
import type { Device, DeviceOptions } from "../device.ts";
import { createZeroMaker } from "../zeros.ts";
import { type Handle, reachedApi } from "./c_api.ts";
import { createCapture } from "./capture.ts";
import { createHeldTensors } from "./held_tensors.ts";
import type { NativeContext, NativeSession } from "./native_context.ts";
import { createNativeKernel } from "./native_kernel.ts";
import { createSharedWeights } from "./shared_weights.ts";

/**
 * Kernels that are handed to the driver at once: few calls, and yet the device begins before all of a
 * step is there.
 */
const PENDING_DISPATCHES = 64;

/** What onnxruntime logs: errors that are thrown anyway are not among it. */
const FATAL = 4;

/**
 * Opens a GPU through WebGPU by onnxruntime's C API. Calls are made on this thread, as the Node
 * binding makes them.
 *
 * @returns `undefined` where the C API cannot be reached.
 */
export function openNativeDevice(
  { threads = 1, pendingDispatches = PENDING_DISPATCHES, explain = (error) => error }:
    DeviceOptions,
): Device | undefined {
  const api = reachedApi();
  if (!api) return undefined;
  // The process has one environment, whoever asks first; it lives as long as the process.
  const environment = api.createEnvironment("kvjudge", FATAL);
  api.setEnvironmentLogSeverity(environment, FATAL);
  const memory = api.createMemoryInfo("WebGPU_Buf");
  const main = api.createMemoryInfo("Cpu");
  const counts = { tensors: 0, bytes: 0, sent: 0, received: 0 };
  const held = createHeldTensors(api, memory, counts);
  let home: { readonly session: NativeSession; readonly allocator: Handle } | undefined;
  const open = (
    graph: Graph,
    values: readonly (readonly [string, Handle])[],
    provider: Readonly<Record<string, string>>,
  ): Handle => {
    const { folder, graph: located } = locatedFiles(graph);
    const options = api.createSessionOptions();
    try {
      api.setThreads(options, threads);
      api.setLogSeverity(options, FATAL);
      api.addConfigEntry(options, "session.intra_op.allow_spinning", "0");
      api.addConfigEntry(options, "session.model_external_initializers_file_folder_path", folder);
      const pending = { maxNumPendingDispatches: String(pendingDispatches) };
      api.appendProvider(options, "WebGPU", { ...pending, ...provider });
      for (const [name, value] of values) api.addInitializer(options, name, value);
      return api.createSession(environment, encodeModel(located), options);
    } finally {
      api.releaseSessionOptions(options);
    }
  };
  const allocate: NativeContext["allocate"] = (dims, type) => {
    if (!home) {
      const handle = open(emptyGraph(), [], {});
      const session = { handle, [Symbol.dispose]: () => api.releaseSession(handle) };
      home = { session, allocator: api.createAllocator(handle, memory) };
    }
    return api.allocateTensor(home.allocator, dims, ELEMENT_TYPE[type]);
  };
  const weights = createSharedWeights({ api, environment, memory, main, allocate });
  const context: NativeContext = {
    ...{ api, environment, memory, main, held, allocate },
    guarded(action, work) {
      try {
        return work();
      } catch (error) {
        throw explain(error, action);
      }
    },
    cross(crossing) {
      counts[crossing.direction === "in" ? "sent" : "received"] += crossing.bytes;
      device.onCrossing?.(crossing);
    },
    session(graph, provider = {}) {
      using taken = new DisposableStack();
      const { values } = taken.use(weights.of(graph));
      const handle = open(graph, values, provider);
      const shares = taken.move();
      return {
        handle,
        [Symbol.dispose]() {
          api.releaseSession(handle);
          shares.dispose();
        },
      };
    },
  };
  const device: Device = {
    provider: "webgpu",
    resident: true,
    onCrossing: undefined,
    capture: createCapture(context),
    get usage() {
      return { ...counts, weights: weights.bytes };
    },
    async load(graph, { stay = [], inPlace = false } = {}) {
      await setImmediate();
      const session = context.guarded("load", () => context.session(graph));
      return createNativeKernel(context, graph, session, new Set(inPlace ? [] : stay));
    },
    zeros: (dims, type) => maker.zeros(dims, type),
    reshaped: (tensor, dims) => held.reshaped(tensor, dims),
    async [Symbol.asyncDispose]() {
      await maker[Symbol.asyncDispose]();
      home?.session[Symbol.dispose]();
      home = undefined;
    },
  };
  const maker = createZeroMaker(device);
  return device;
}

/** A graph whose session is only there to allocate for. */
function emptyGraph(): Graph {
  const graph = createGraph("home");
  graph.input("x", "float32", [1]);
  graph.op("Neg", ["x"], { names: ["y"] });
  graph.output("y", "float32", [1]);
  return graph.build();
}
