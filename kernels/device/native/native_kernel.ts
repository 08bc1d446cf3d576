import { setImmediate } from "node:timers/promises";
import type { Graph } from "../../onnx/graph.ts";
import { type DeviceKernel, type DeviceTensor, isDeviceTensor } from "../device.ts";
import { bytesOf, floatsIn, integersIn, type Numbers, numbersIn } from "../tensor_data.ts";
import type { Handle } from "./c_api.ts";
import { cString } from "./c_strings.ts";
import { type NativeContext, type NativeSession, readBytes, wrapped } from "./native_context.ts";

/**
 * A graph that runs by the C API.
 *
 * @param staying Outputs that stay on the device, in tensors of their own.
 */
export function createNativeKernel(
  context: NativeContext,
  graph: Graph,
  session: NativeSession,
  staying: ReadonlySet<string>,
): DeviceKernel {
  const { api, held, memory, main } = context;
  const binding = api.createBinding(session.handle);
  const names = graph.outputs.map(({ name }) => name);
  const texts = new Map(
    [...graph.inputs, ...graph.outputs].map(({ name }) => [name, cString(name)]),
  );
  const textOf = (name: string) => texts.get(name) ?? cString(name);
  const types = new Map(graph.outputs.map(({ name, type }) => [name, type]));
  const kernel = graph.name;

  /** Runs with everything bound, and gives the outputs in the order of `fetches`. */
  const bound = (
    feeds: Parameters<DeviceKernel["run"]>[0],
    fetches: readonly string[],
    into: Readonly<Record<string, DeviceTensor>>,
  ): Handle[] => {
    using sent = new DisposableStack();
    try {
      for (const [name, value] of Object.entries(feeds)) {
        if (isDeviceTensor(value)) api.bindInput(binding, textOf(name), held.handleOf(value));
        else {
          context.cross({ kernel, name, direction: "in", bytes: bytesOf(value) });
          const handle = sent.adopt(wrapped(context, value), (one) => api.releaseValue(one));
          api.bindInput(binding, textOf(name), handle);
        }
      }
      for (const name of fetches) {
        const tensor = into[name];
        if (tensor) api.bindOutput(binding, textOf(name), held.handleOf(tensor));
        else api.bindOutputTo(binding, textOf(name), staying.has(name) ? memory : main);
      }
      api.run(session.handle, null, binding);
      return api.boundOutputs(binding);
    } finally {
      // What is bound would live as long as the binding.
      api.clearBinding(binding);
    }
  };
  return {
    async run(feeds, { fetches = names, into = {} } = {}) {
      await setImmediate();
      const handles = context.guarded("run", () => bound(feeds, fetches, into));
      const there = new Map<string, Handle>();
      const here = new Map<string, Numbers>();
      for (const [index, name] of fetches.entries()) {
        const handle = handles[index];
        if (!handle) continue;
        if (staying.has(name) && !into[name]) {
          there.set(name, handle);
          continue;
        }
        const type = types.get(name) ?? "float32";
        if (!into[name]) {
          const bytes = bytesOf({ type, dims: api.dimsOf(handle) });
          context.cross({ kernel, name, direction: "out", bytes });
          here.set(name, numbersIn(readBytes(api, handle, bytes), type));
        }
        api.releaseValue(handle);
      }
      const output = <T>(outputs: Map<string, T>, name: string): T => {
        const found = outputs.get(name);
        if (found) return found;
        throw new RangeError(`Cannot find output '${name}' of ${kernel}`);
      };
      return {
        kept: (name) => held.hold(output(there, name)),
        floats: (name) => floatsIn(output(here, name), name, kernel),
        integers: (name) => integersIn(output(here, name), name, kernel),
      };
    },
    [Symbol.asyncDispose]() {
      api.releaseBinding(binding);
      session[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}
