import { dirname, relative, resolve, sep } from "node:path";
import * as ort from "npm:onnxruntime-node@1.30.0";
import { encodeModel } from "./onnx/encode.ts";
import type { Graph } from "./onnx/graph.ts";

/** A tensor going into or coming out of a kernel. */
export type Tensor = ort.Tensor;

/** Threads and scheduling of a kernel. */
export interface KernelOptions {
  /** Threads within an operation. @default {1} */
  readonly threads?: number;
  /**
   * Whether idle threads keep spinning. Right for the one large graph; small graphs that run beside
   * it must not, or each disturbs the other. @default {false}
   */
  readonly spinning?: boolean;
  /**
   * Whether what a run needs is laid out in one piece the next time that shapes are the same. Prompts are
   * read behind ever more tokens, so that pieces of all sizes stay. @default {true}
   */
  readonly planned?: boolean;
}

/** A graph that is ready to run. */
export interface Kernel extends AsyncDisposable {
  /** Whether outputs that are given a tensor are written into it alone, without a copy beside it. */
  readonly writes: boolean;
  /**
   * Runs the graph.
   *
   * @param feeds Inputs by name. Arrays are used as they lie, without a copy.
   * @param fetches Outputs that are wanted, all of them if left out. An output with a tensor is written
   * into its array, which may be that of an input.
   */
  run(
    feeds: Readonly<Record<string, Tensor>>,
    fetches?: readonly string[] | Readonly<Record<string, Tensor | null>>,
  ): Promise<Readonly<Record<string, Tensor>>>;
}

/** Loads a graph on the CPU. Weights in files are read by the runtime, not by JavaScript. */
export async function createKernel(
  graph: Graph,
  { threads = 1, spinning = false, planned = true }: KernelOptions = {},
): Promise<Kernel> {
  const { folder, graph: located } = locatedFiles(graph);
  const session = await ort.InferenceSession.create(encodeModel(located), {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    enableMemPattern: planned,
    extra: {
      session: {
        model_external_initializers_file_folder_path: folder,
        "intra_op.allow_spinning": spinning ? "1" : "0",
      },
    },
  });
  return {
    writes: false,
    run: (feeds, fetches) => fetches ? session.run(feeds, fetches) : session.run(feeds),
    [Symbol.asyncDispose]: () => session.release(),
  };
}

/** Wraps 32-bit floats as a tensor, without a copy. */
export function floats(data: Float32Array, shape: readonly number[]): Tensor {
  return new ort.Tensor("float32", data, shape);
}

/** Wraps 16-bit floats as a tensor, without a copy. */
export function halves(data: Float16Array, shape: readonly number[]): Tensor {
  return halfBits(new Uint16Array(data.buffer, data.byteOffset, data.length), shape);
}

/** Wraps the bits of 16-bit floats as a tensor, without a copy. */
export function halfBits(bits: Uint16Array, shape: readonly number[]): Tensor {
  // Deno does not pass a Float16Array on to native code; the same bytes under another name it does.
  return Object.defineProperty(new ort.Tensor("float16", bits, shape), "data", { value: bits });
}

/** Token ids, indices and the like as a tensor: whole numbers of at most 32 bits. */
export function integers(values: ArrayLike<number>, shape?: readonly number[]): Tensor {
  const data = new BigInt64Array(values.length);
  // Half by half: a BigInt for each of thousands of slots would take longer than the device does.
  const halves = new Int32Array(data.buffer);
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? 0;
    halves[2 * index] = value;
    if (value < 0) halves[2 * index + 1] = -1;
  }
  return new ort.Tensor("int64", data, shape ?? [data.length]);
}

/** Whole numbers of at most 32 bits out of ones of 64. */
export function narrowed(values: BigInt64Array): Int32Array {
  const halves = new Int32Array(values.buffer, values.byteOffset, 2 * values.length);
  return Int32Array.from({ length: values.length }, (_, index) => halves[2 * index] ?? 0);
}

/** Whole numbers of 32 bits as a tensor. */
export function int32s(values: ArrayLike<number>, shape?: readonly number[]): Tensor {
  return new ort.Tensor("int32", Int32Array.from(values), shape ?? [values.length]);
}

/** A boolean as a tensor of one element. */
export function flag(value: boolean): Tensor {
  return flags([value]);
}

/** Booleans as a tensor. */
export function flags(values: readonly boolean[], shape?: readonly number[]): Tensor {
  return new ort.Tensor("bool", Uint8Array.from(values, Number), shape ?? [values.length]);
}

/** The numbers of a float tensor. */
export function floatsOf(tensor: Tensor | undefined): Float32Array {
  if (!(tensor?.data instanceof Float32Array)) {
    throw new TypeError(`Cannot read a ${tensor?.type ?? "missing"} tensor as float32`);
  }
  return tensor.data;
}

/** A graph whose files are named from one folder, as the runtime wants them. */
export function locatedFiles(graph: Graph): { readonly folder: string; readonly graph: Graph } {
  const folder = commonFolder(filesOf(graph));
  return { folder, graph: withRelativeFiles(graph, folder) };
}

/** Files that a graph reads weights from. */
export function filesOf(graph: Graph): string[] {
  return graph.initializers.flatMap(({ data }) => "file" in data ? [resolve(data.file)] : []);
}

// The runtime refuses absolute paths and "..": every file is named from the folder all have in common.
function commonFolder(files: readonly string[]): string {
  const [first, ...rest] = new Set(files);
  if (first === undefined) return resolve(".");
  let folder = dirname(first);
  for (const file of rest) {
    while (!file.startsWith(folder.endsWith(sep) ? folder : folder + sep)) {
      const parent = dirname(folder);
      if (parent === folder) {
        throw new TypeError(`Cannot read weights from ${folder} and from ${file}: use one drive`);
      }
      folder = parent;
    }
  }
  return folder;
}

function withRelativeFiles(graph: Graph, folder: string): Graph {
  const initializers = graph.initializers.map((initializer) =>
    "file" in initializer.data
      ? {
        ...initializer,
        data: { ...initializer.data, file: relative(folder, resolve(initializer.data.file)) },
      }
      : initializer
  );
  return { ...graph, initializers };
}
