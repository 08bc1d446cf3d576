import * as ort from "npm:onnxruntime-node@1.30.0";
import { type Device, type DeviceTensor, openDevice } from "../../kernels/device/device.ts";
import { buildEvenStepGraph } from "../../kernels/device/device_step_graph.ts";
import { layerPorts } from "../../kernels/device/layer_ports.ts";
import { oneInteger } from "../../kernels/device/one_integer.ts";
import { packedTokens } from "../../kernels/device/packed_tokens.ts";
import { encodeModel } from "../../kernels/onnx/encode.ts";
import type { Graph } from "../../kernels/onnx/graph.ts";
import { floats, int32s, locatedFiles } from "../../kernels/session.ts";
import { rotaryRows } from "../../kernels/rope.ts";
import type { StepModel } from "../../kernels/step_model.ts";

/** Options of onnxruntime, as its binding takes them. */
export type SessionChoice = Omit<ort.InferenceSession.SessionOptions, "executionProviders"> & {
  /** Options of the provider, such as `validationMode`. */
  readonly provider?: Readonly<Record<string, unknown>>;
  /** Entries of onnxruntime's own configuration, such as those of `ep.webgpuexecutionprovider`. */
  readonly entries?: Readonly<Record<string, string>>;
};

/** A step graph with a session of its own, for tokens behind those that are held. */
export interface RawStep extends AsyncDisposable {
  readonly graph: Graph;
  /** Runs a step; logits come to main memory. */
  run(): Promise<void>;
  /** Runs a step; logits stay, so that nobody waits for the device. Not on the processor. */
  runAhead(): Promise<void>;
  endProfiling(): void;
}

/** Loads the step graph with chosen options, over a cache that is filled with zeros. */
export async function openRawStep(
  model: StepModel,
  { device, half, held, tokens, choice }: {
    readonly device: "webgpu" | "cpu";
    readonly half: boolean;
    /** Tokens that are held. */
    readonly held: number;
    /** Tokens of a step. */
    readonly tokens: number;
    readonly choice: SessionChoice;
  },
): Promise<RawStep> {
  const graph = buildEvenStepGraph(model, { half }).graph;
  const { folder, graph: located } = locatedFiles(graph);
  const { provider = {}, entries = {}, ...session } = choice;
  // The first session of a process settles what all of them share, so it is made before any other.
  const made = await ort.InferenceSession.create(encodeModel(located), {
    executionProviders: [{ ...provider, name: device }],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
    ...session,
    extra: {
      "session.model_external_initializers_file_folder_path": folder,
      "session.intra_op.allow_spinning": "0",
      ...entries,
    },
  });
  const home = openDevice(device);
  const { kvHeads, headDim, vocabulary } = model;
  const element = half ? "float16" : "float32";
  const capacity = held + tokens;
  const feeds: Record<string, ort.Tensor> = {
    ...packedTokens({
      ids: new Array<number>(tokens).fill(5),
      rotary: rotaryRows(new Float32Array(headDim / 2), 0, tokens),
      rows: [tokens - 1],
    }, headDim),
    embeddings: floats(new Float32Array(0), [0, model.hidden]),
  };
  const into: Record<string, ort.Tensor> = {};
  const lastIndex = home.resident ? (await oneInteger(home)).tensor : int32s([capacity - 1]);
  for (const layer of model.layers.keys()) {
    const port = layerPorts(layer);
    const [keys, values] = [await zeros(home, element), await zeros(home, element)];
    Object.assign(feeds, { [port.keys]: keys.tensor, [port.values]: values.tensor });
    Object.assign(into, { [port.presentKeys]: keys.tensor, [port.presentValues]: values.tensor });
    feeds[port.lastIndex] = lastIndex;
    feeds[port.total] = int32s([capacity]);
  }
  const there = (await home.zeros([1, vocabulary])).tensor;
  return {
    graph,
    async run() {
      await made.run(feeds, { ...into, logits: null });
    },
    async runAhead() {
      await made.run(feeds, { ...into, logits: there });
    },
    endProfiling: () => made.endProfiling(),
    async [Symbol.asyncDispose]() {
      await made.release();
      await home[Symbol.asyncDispose]();
    },
  };

  function zeros(on: Device, type: "float16" | "float32"): Promise<DeviceTensor> {
    return on.zeros([1, kvHeads, capacity, headDim], type);
  }
}

/** Nodes of a graph, those of one branch of each `If` included. */
export function nodeCount({ nodes }: Graph): number {
  return nodes.reduce((sum, { attributes }) => {
    const [branch] = Object.values(attributes).filter((one) => "graph" in one);
    return sum + 1 + (branch ? nodeCount(branch.graph) : 0);
  }, 0);
}
