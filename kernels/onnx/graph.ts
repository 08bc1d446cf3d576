/** Element types that our graphs use. */
export type ElementType =
  | "float32"
  | "uint8"
  | "int8"
  | "int32"
  | "int64"
  | "bool"
  | "float16"
  | "bfloat16";

/** Their numbers in the ONNX format. */
export const ELEMENT_TYPE = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
} as const satisfies Readonly<Record<ElementType, number>>;

/** A dimension: a size, or the name of one that is known when the graph runs. */
export type Dimension = number | string;

/** Name of a value in a graph. The empty string stands for an input that is left out. */
export type Value = string;

/** Attribute of a node. Integers and floats are told apart by their wrapper. */
export type Attribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly text: string }
  | { readonly graph: Graph };

/** One operation. */
export interface GraphNode {
  readonly operator: string;
  readonly domain: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A constant: held in the graph, or read from a file by the runtime. */
export interface Initializer {
  readonly name: Value;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly data:
    | { readonly bytes: Uint8Array }
    | { readonly file: string; readonly offset: number; readonly length: number };
}

/** A typed input or output. */
export interface Port {
  readonly name: Value;
  readonly type: ElementType;
  readonly shape: readonly Dimension[];
}

/** An ONNX graph as plain data. */
export interface Graph {
  readonly name: string;
  readonly nodes: readonly GraphNode[];
  readonly initializers: readonly Initializer[];
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
}

/** Numbers that travel inside a graph, in the type that their array has. */
export type TypedData = Float32Array | Float16Array | Int32Array | BigInt64Array | Uint8Array;

/** How a node departs from a plain ONNX operator with one output. */
export interface NodeOptions {
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Names of the outputs, where others must know them. @default {made up} */
  readonly names?: readonly Value[];
}

/** Collects nodes; every method that makes a value returns its name. */
export interface GraphBuilder {
  input(name: string, type: ElementType, shape: readonly Dimension[]): Value;
  /** Makes a value an output, under its own name. */
  output(value: Value, type: ElementType, shape: readonly Dimension[]): void;
  /** A small constant that travels inside the graph. */
  constant(data: TypedData, shape: readonly number[]): Value;
  /** A list of 64-bit integers, as shapes and indices want them. */
  integers(values: readonly number[]): Value;
  /** A constant whose bytes the runtime reads from a file. */
  external(
    type: ElementType,
    shape: readonly number[],
    place: { readonly file: string; readonly offset: number; readonly length: number },
  ): Value;
  op(operator: string, inputs: readonly Value[], options?: NodeOptions): Value;
  /** Like {@linkcode GraphBuilder.op}, for operators with several outputs. */
  ops(operator: string, inputs: readonly Value[], count: number, options?: NodeOptions): Value[];
  /** A builder for a branch of `If`; it sees the values of this one by name. */
  branch(name: string): GraphBuilder;
  build(): Graph;
}

/** Domain of onnxruntime's own operators. */
export const MICROSOFT = "com.microsoft";

function elementTypeOf(data: TypedData): ElementType {
  if (data instanceof Float32Array) return "float32";
  if (data instanceof Float16Array) return "float16";
  if (data instanceof Int32Array) return "int32";
  return data instanceof BigInt64Array ? "int64" : "uint8";
}

/** Starts an empty graph. */
export function createGraph(name: string): GraphBuilder {
  return createBuilder(name, { next: 0 });
}

// Branches share the counter: a value's name must be unique across a graph and its branches.
function createBuilder(name: string, counter: { next: number }): GraphBuilder {
  const nodes: GraphNode[] = [];
  const initializers: Initializer[] = [];
  const inputs: Port[] = [];
  const outputs: Port[] = [];
  const lists = new Map<string, Value>();
  const fresh = (stem: string) => `${stem}_${counter.next++}`;

  const builder: GraphBuilder = {
    input(name, type, shape) {
      inputs.push({ name, type, shape });
      return name;
    },
    output(value, type, shape) {
      outputs.push({ name: value, type, shape });
    },
    constant(data, shape) {
      const value = fresh("constant");
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      initializers.push({ name: value, type: elementTypeOf(data), shape, data: { bytes } });
      return value;
    },
    integers(values) {
      const key = values.join();
      // Equal lists share a name, so that the runtime sees equal operations as equal.
      const known = lists.get(key) ??
        builder.constant(BigInt64Array.from(values, BigInt), [values.length]);
      lists.set(key, known);
      return known;
    },
    external(type, shape, place) {
      const value = fresh("weight");
      initializers.push({ name: value, type, shape, data: place });
      return value;
    },
    op(operator, inputs, options) {
      const [value] = builder.ops(operator, inputs, 1, options);
      return value as Value;
    },
    ops(operator, inputs, count, { domain = "", attributes = {}, names = [] } = {}) {
      const outputs = Array.from(
        { length: count },
        (_, index) => names[index] ?? fresh(operator),
      );
      nodes.push({ operator, domain, inputs, outputs, attributes });
      return outputs;
    },
    branch: (name) => createBuilder(name, counter),
    build: () => ({ name, nodes, initializers, inputs, outputs }),
  };
  return builder;
}
