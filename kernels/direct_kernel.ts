import { type CApi, type Handle, reachedApi } from "./device/native/c_api.ts";
import { cStrings } from "./device/native/c_strings.ts";
import { createKeptValues } from "./device/native/kept_values.ts";
import { readBytes, wrapped } from "./device/native/native_context.ts";
import { encodeModel } from "./onnx/encode.ts";
import type { Graph } from "./onnx/graph.ts";
import {
  createKernel,
  floats,
  type Kernel,
  type KernelOptions,
  locatedFiles,
  type Tensor,
} from "./session.ts";

/** What onnxruntime logs: errors that are thrown anyway are not among it. */
const FATAL = 4;

/**
 * Loads a graph on the processor by onnxruntime's C API where it can be reached, by its Node binding
 * elsewhere. The binding copies every output into an array of its own, also one that was written where
 * it was to lie; of a KV cache that would be more than attention reads.
 *
 * Outputs that are not written into a given tensor must be 32-bit floats.
 */
export async function createDirectKernel(
  graph: Graph,
  options: KernelOptions = {},
): Promise<Kernel> {
  const api = reachedApi();
  return api ? await openDirect(api, graph, options) : await createKernel(graph, options);
}

async function openDirect(api: CApi, graph: Graph, options: KernelOptions): Promise<Kernel> {
  const context = { api, main: api.createMemoryInfo("Cpu") };
  const kept = createKeptValues(context);
  const session = await openSession(api, graph, options);
  const addressOf = addresses([...graph.inputs, ...graph.outputs].map(({ name }) => name));
  const all = graph.outputs.map(({ name }) => name);
  return {
    writes: true,
    async run(feeds, fetches = all) {
      using taken = new DisposableStack();
      // The arrays must live until the other thread is done.
      taken.adopt(feeds, () => {});
      taken.use(kept.running());
      const owned = (handle: Handle) => taken.adopt(handle, (one) => api.releaseValue(one));
      const addressed = new Map<Tensor, bigint>();
      const given = (tensor: Tensor): bigint => {
        const known = addressed.get(tensor);
        if (known !== undefined) return known;
        const value = kept.keeps(tensor) ? kept.valueOf(tensor) : owned(wrapped(context, tensor));
        const address = pointerTo(value);
        addressed.set(tensor, address);
        return address;
      };
      const wanted = wantedOutputs(fetches);
      const inputs = {
        names: BigUint64Array.from(Object.keys(feeds), addressOf),
        values: BigUint64Array.from(Object.values(feeds), given),
      };
      const outputs = {
        names: BigUint64Array.from(wanted, ([name]) => addressOf(name)),
        values: BigUint64Array.from(wanted, ([, tensor]) => tensor ? given(tensor) : 0n),
      };
      await api.runApart(session, inputs, outputs);
      const made = wanted.map(([, tensor], index) =>
        tensor ? undefined : owned(handleAt(outputs.values, index))
      );
      return Object.fromEntries(wanted.flatMap(([name, tensor], index) => {
        const handle = made[index];
        const output = handle ? copied(api, handle) : tensor;
        return output ? [[name, output]] : [];
      }));
    },
    [Symbol.asyncDispose]() {
      api.releaseSession(session);
      return Promise.resolve();
    },
  };
}

function wantedOutputs(
  fetches: Parameters<Kernel["run"]>[1] & object,
): readonly (readonly [name: string, into: Tensor | null])[] {
  return isList(fetches) ? fetches.map((name) => [name, null] as const) : Object.entries(fetches);
}

function isList(fetches: object): fetches is readonly string[] {
  return Array.isArray(fetches);
}

async function openSession(
  api: CApi,
  graph: Graph,
  { threads = 1, spinning = false, planned = true }: KernelOptions,
): Promise<Handle> {
  // The process has one environment, whoever asks first; it lives as long as the process.
  const environment = api.createEnvironment("kvjudge", FATAL);
  const { folder, graph: located } = locatedFiles(graph);
  const options = api.createSessionOptions();
  try {
    api.setThreads(options, threads);
    if (!planned) api.disablePatterns(options);
    api.setLogSeverity(options, FATAL);
    api.addConfigEntry(options, "session.intra_op.allow_spinning", spinning ? "1" : "0");
    api.addConfigEntry(options, "session.model_external_initializers_file_folder_path", folder);
    return await api.createSessionApart(environment, encodeModel(located), options);
  } finally {
    api.releaseSessionOptions(options);
  }
}

/** Gives the addresses of names, as C takes them. */
function addresses(names: readonly string[]): (name: string) => bigint {
  const { texts, pointers } = cStrings(names);
  const known = new Map(
    names.map((name, index) => [name, { text: texts[index], address: pointers[index] ?? 0n }]),
  );
  return (name) => {
    const found = known.get(name);
    if (found) return found.address;
    throw new RangeError(`Cannot run a graph with '${name}': it has no such input or output`);
  };
}

function pointerTo(handle: Handle): bigint {
  return BigInt(Deno.UnsafePointer.value(handle));
}

function handleAt(values: BigUint64Array, index: number): Handle {
  const handle = Deno.UnsafePointer.create(values[index] ?? 0n);
  if (handle !== null) return handle;
  throw new Error("onnxruntime made no output where one was asked for");
}

function copied(api: CApi, handle: Handle): Tensor {
  const dims = api.dimsOf(handle);
  const length = dims.reduce((product, size) => product * size, 1);
  const bytes = readBytes(api, handle, length * Float32Array.BYTES_PER_ELEMENT);
  return floats(new Float32Array(bytes.buffer), dims);
}
