import * as ort from "npm:onnxruntime-node@1.30.0";
import { encodeModel } from "../onnx/encode.ts";
import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph } from "../onnx/graph.ts";

/** What onnxruntime computes with. */
export type ProviderName = "cpu" | "webgpu" | "cuda";

/** What a provider that works can do. */
export interface ProviderAbilities {
  /** Whether it computes with 16-bit floats. */
  readonly fp16: boolean;
  /** Largest buffer, in bytes; absent where the provider names no limit. */
  readonly maxBufferBytes?: number;
}

/**
 * Runs small graphs on a provider to see what it can do.
 *
 * @throws {Error} With the native library's own message if nothing runs there. A broken driver may end
 * the process instead.
 */
export async function probeProvider(provider: ProviderName): Promise<ProviderAbilities> {
  const two = Float32Array.of(2);
  const doubled = await runOnce(provider, sum("float32"), two);
  if (doubled !== 4) throw new Error(`2 + 2 gave ${doubled}`);
  const fp16 = await runOnce(provider, sum("float16"), two).then((four) => four === 4, () => false);
  const limit = provider === "webgpu" ? await largestBuffer(provider) : undefined;
  return { fp16, ...limit === undefined ? {} : { maxBufferBytes: limit } };
}

function sum(type: "float32" | "float16"): Graph {
  const graph = createGraph("sum");
  graph.input("x", "float32", [1]);
  const x = type === "float16" ? cast(graph, "x", "float16") : "x";
  cast(graph, graph.op("Add", [x, x]), "float32", ["y"]);
  graph.output("y", "float32", [1]);
  return graph.build();
}

async function runOnce(
  provider: ProviderName,
  graph: Graph,
  x: Float32Array,
): Promise<number | undefined> {
  const session = await ort.InferenceSession.create(encodeModel(graph), options(provider));
  try {
    const { y } = await session.run({ x: new ort.Tensor("float32", x, [1]) });
    return y?.data instanceof Float32Array ? y.data[0] : undefined;
  } finally {
    await session.release();
  }
}

/** Floats that most adapters refuse before they allocate anything; the refusal names the limit. */
const TOO_MANY = 2 ** 31 - 1;

async function largestBuffer(provider: ProviderName): Promise<number | undefined> {
  const graph = createGraph("zeros");
  graph.input("size", "int64", [1]);
  // Not ConstantOfShape, which would make its zeros on the processor.
  graph.op("Expand", [graph.constant(Float32Array.of(0), [1]), "size"], { names: ["zeros"] });
  graph.output("zeros", "float32", ["N"]);
  const session = await ort.InferenceSession.create(encodeModel(graph.build()), {
    ...options(provider),
    preferredOutputLocation: "gpu-buffer",
  });
  const size = new ort.Tensor("int64", BigInt64Array.of(BigInt(TOO_MANY)), [1]);
  const refusal = async () => {
    try {
      const { zeros } = await session.run({ size });
      zeros?.dispose();
      return "";
    } catch (error) {
      return String(error);
    }
  };
  try {
    // The first refusal may speak of memory; from then on they name the limit.
    const limit = /max buffer size limit \((\d+)\)/.exec(await refusal() + await refusal())?.[1];
    return limit === undefined ? undefined : Number(limit);
  } finally {
    await session.release();
  }
}

function options(provider: ProviderName): ort.InferenceSession.SessionOptions {
  return { executionProviders: [provider], intraOpNumThreads: 1, logSeverityLevel: 4 };
}
