import { setImmediate } from "node:timers/promises";
import type { CapturedKernel, CapturedTensors, DeviceTensor, GraphCapture } from "../device.ts";
import { bytesOf } from "../tensor_data.ts";
import type { Handle } from "./c_api.ts";
import { cString } from "./c_strings.ts";
import { type NativeContext, readTensor, wrapped } from "./native_context.ts";

/** Recordings that a graph keeps, for as many sequences that are decoded by turns. */
const MOST_RECORDINGS = 8;

interface Recording extends Disposable {
  readonly tensors: readonly DeviceTensor[];
  run(): void;
}

/** Captures graphs by the C API: the Node binding refuses the option. */
export function createCapture(context: NativeContext): GraphCapture {
  const { api, held, environment } = context;
  return {
    async load(graph): Promise<CapturedKernel> {
      await setImmediate();
      const session = context.guarded(
        "load",
        () => context.session(graph, { enableGraphCapture: "1", enableInt64: "1" }),
      );
      const names = {
        inputs: graph.inputs.map(({ name }) => ({ name, text: cString(name) })),
        outputs: graph.outputs.map(({ name }) => ({ name, text: cString(name) })),
      };
      let recordings: Recording[] = [];
      let next = 1;
      const forget = (recording: Recording): void => {
        if (!recordings.includes(recording)) return;
        recordings = recordings.filter((one) => one !== recording);
        recording[Symbol.dispose]();
      };
      const record = (tensors: readonly DeviceTensor[]): Recording => {
        const id = next++;
        using making = new DisposableStack();
        const binding = making.adopt(
          api.createBinding(session.handle),
          (one) => api.releaseBinding(one),
        );
        const options = making.adopt(
          api.createRunOptions({ gpu_graph_id: String(id) }),
          (one) => api.releaseRunOptions(one),
        );
        const handles: Handle[] = tensors.map((tensor) => held.handleOf(tensor));
        for (const [index, { text }] of names.inputs.entries()) {
          const handle = handles[index];
          if (handle) api.bindInput(binding, text, handle);
        }
        for (const [index, { text }] of names.outputs.entries()) {
          const handle = handles[names.inputs.length + index];
          if (handle) api.bindOutput(binding, text, handle);
        }
        const owned = making.move();
        let ran = false;
        const recording: Recording = {
          tensors,
          run() {
            api.run(session.handle, options, binding);
            ran = true;
          },
          [Symbol.dispose]() {
            if (ran) api.releaseCapturedGraph(session.handle, id);
            owned.dispose();
          },
        };
        for (const tensor of new Set(tensors)) held.onDispose(tensor, () => forget(recording));
        return recording;
      };
      const inOrder = ({ inputs, outputs }: CapturedTensors): readonly DeviceTensor[] => [
        ...names.inputs.map(({ name }) => given(inputs, name)),
        ...names.outputs.map(({ name }) => given(outputs, name)),
      ];
      const known = (tensors: readonly DeviceTensor[]): Recording | undefined =>
        recordings.find((one) => one.tensors.every((tensor, index) => tensor === tensors[index]));
      return {
        isRecorded: (given) => known(inOrder(given)) !== undefined,
        async run(given) {
          await setImmediate();
          const tensors = inOrder(given);
          const recording = known(tensors) ?? record(tensors);
          recordings = [...recordings.filter((one) => one !== recording), recording];
          const [oldest] = recordings;
          if (oldest && recordings.length > MOST_RECORDINGS) forget(oldest);
          try {
            context.guarded("run", () => recording.run());
          } catch (error) {
            forget(recording);
            throw error;
          }
        },
        write(name, tensor, numbers) {
          const bytes = bytesOf(numbers);
          context.cross({ kernel: graph.name, name, direction: "in", bytes });
          const source = wrapped(context, numbers);
          try {
            context.guarded(
              "run",
              () => api.copyTensors(environment, [source], [held.handleOf(tensor)]),
            );
          } finally {
            api.releaseValue(source);
          }
        },
        floats(name, tensor) {
          const bytes = context.guarded("run", () => readTensor(context, tensor));
          context.cross({ kernel: graph.name, name, direction: "out", bytes: bytes.length });
          return new Float32Array(bytes.buffer);
        },
        [Symbol.asyncDispose]() {
          for (const recording of recordings) forget(recording);
          session[Symbol.dispose]();
          return Promise.resolve();
        },
      };
    },
    tensor: (dims, type) => held.hold(context.guarded("run", () => context.allocate(dims, type))),
  };
}

function given(tensors: Readonly<Record<string, DeviceTensor>>, name: string): DeviceTensor {
  const tensor = tensors[name];
  if (tensor) return tensor;
  throw new RangeError(`Cannot run a captured graph without a tensor for '${name}'`);
}
