import { ELEMENT_TYPE, type Graph, type GraphNode, type Initializer } from "../../onnx/graph.ts";
import type { Handle } from "./c_api.ts";
import type { NativeContext } from "./native_context.ts";

/** Weights that lie on the device once, however many graphs use them. */
export interface SharedWeights {
  /** Their bytes. */
  readonly bytes: number;
  /** Takes a share of those weights of a graph that can be shared. */
  of(graph: Graph): WeightShare;
}

/** Weights of one graph by their names in it. */
export interface WeightShare extends Disposable {
  readonly values: readonly (readonly [name: string, value: Handle])[];
}

interface Weight {
  users: number;
  readonly bytes: number;
  readonly tensor: Handle;
  /** The same memory without an owner: all that onnxruntime shares. */
  readonly view: Handle;
}

/**
 * Operators that read a weight as it lies, on the device. What others read is computed when a graph is
 * loaded, from the file, into something of its own.
 */
const READERS: ReadonlySet<string> = new Set(["MatMulNBits", "Gather", "Gemm", "FusedMatMul"]);

/** Holds nothing yet. */
export function createSharedWeights(
  { api, environment, memory, main, allocate }: Pick<
    NativeContext,
    "api" | "environment" | "memory" | "main" | "allocate"
  >,
): SharedWeights {
  const known = new Map<string, Weight>();
  const counts = { bytes: 0 };
  const place = (initializer: Placed): Weight => {
    const { shape, type, data } = initializer;
    const bytes = readFile(data);
    const number = ELEMENT_TYPE[type];
    const tensor = allocate(shape, type);
    const source = api.wrapTensor(main, bytes, shape, number);
    try {
      api.copyTensors(environment, [source], [tensor]);
    } catch (error) {
      api.releaseValue(tensor);
      throw error;
    } finally {
      api.releaseValue(source);
    }
    const view = api.reshapedTensor(memory, tensor, bytes.length, shape, number);
    counts.bytes += bytes.length;
    return { users: 0, bytes: bytes.length, tensor, view };
  };
  const leave = (key: string, weight: Weight): void => {
    if (--weight.users > 0) return;
    known.delete(key);
    counts.bytes -= weight.bytes;
    api.releaseValue(weight.view);
    api.releaseValue(weight.tensor);
  };
  return {
    get bytes() {
      return counts.bytes;
    },
    of(graph) {
      using taken = new DisposableStack();
      const values: (readonly [string, Handle])[] = [];
      for (const initializer of shareable(graph)) {
        const key = JSON.stringify([initializer.data, initializer.type, initializer.shape]);
        const weight = known.get(key) ?? place(initializer);
        known.set(key, weight);
        weight.users++;
        taken.defer(() => leave(key, weight));
        values.push([initializer.name, weight.view]);
      }
      const shares = taken.move();
      return { values, [Symbol.dispose]: () => shares.dispose() };
    },
  };
}

interface Placed extends Initializer {
  readonly data: Extract<Initializer["data"], { readonly file: string }>;
}

function shareable(graph: Graph): Placed[] {
  const readers = new Map<string, Set<string>>();
  const visit = (nodes: readonly GraphNode[]): void => {
    for (const { inputs, operator, attributes } of nodes) {
      for (const input of inputs) {
        const found = readers.get(input) ?? new Set();
        readers.set(input, found.add(operator));
      }
      for (const attribute of Object.values(attributes)) {
        if ("graph" in attribute) visit(attribute.graph.nodes);
      }
    }
  };
  visit(graph.nodes);
  return graph.initializers.filter(isPlaced).filter(({ name }) =>
    [...readers.get(name) ?? [""]].every((operator) => READERS.has(operator))
  );
}

function isPlaced(initializer: Initializer): initializer is Placed {
  return "file" in initializer.data;
}

function readFile({ file, offset, length }: Placed["data"]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  using opened = Deno.openSync(file);
  opened.seekSync(offset, Deno.SeekMode.Start);
  for (let filled = 0; filled < length;) {
    const read = opened.readSync(bytes.subarray(filled));
    if (read === null) {
      throw new RangeError(
        `Cannot read ${length} bytes of weights at ${offset} of ${file}: it ends`,
      );
    }
    filled += read;
  }
  return bytes;
}
