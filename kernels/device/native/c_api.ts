import { cString, type CStrings, cStrings } from "./c_strings.ts";

/** Something that onnxruntime made and that must be given back to it. */
export type Handle = Deno.PointerObject;

/** Version of the C API that the functions below are of: that of the binding that we load. */
const API_VERSION = 30;

/** The library that onnxruntime's Node binding has loaded, by the name it is loaded under. */
const LIBRARY: Readonly<Partial<Record<typeof Deno.build.os, string>>> = {
  // Only what could be tried: elsewhere the binding opens the device.
  linux: "libonnxruntime.so.1",
};

/** Addresses of names and of the values that they stand for. */
export interface NamedValues {
  readonly names: BigUint64Array<ArrayBuffer>;
  readonly values: BigUint64Array<ArrayBuffer>;
}

/** The parts of onnxruntime's C API that are used here, with its errors thrown. */
export interface CApi {
  createEnvironment(name: string, logSeverity: number): Handle;
  setEnvironmentLogSeverity(environment: Handle, severity: number): void;
  createSessionOptions(): Handle;
  releaseSessionOptions(options: Handle): void;
  setThreads(options: Handle, threads: number): void;
  /** Has each run find memory anew, whatever its shapes were before. */
  disablePatterns(options: Handle): void;
  setLogSeverity(options: Handle, severity: number): void;
  addConfigEntry(options: Handle, key: string, value: string): void;
  addInitializer(options: Handle, name: string, value: Handle): void;
  appendProvider(
    options: Handle,
    name: string,
    entries: Readonly<Record<string, string>>,
  ): void;
  createSession(environment: Handle, model: Uint8Array, options: Handle): Handle;
  /** As {@linkcode CApi.createSession}, on another thread. */
  createSessionApart(environment: Handle, model: Uint8Array, options: Handle): Promise<Handle>;
  releaseSession(session: Handle): void;
  createMemoryInfo(name: string): Handle;
  createAllocator(session: Handle, memory: Handle): Handle;
  /** Memory of an allocator as a tensor. */
  allocateTensor(allocator: Handle, dims: readonly number[], type: number): Handle;
  /** An array as a tensor; the array must live as long. */
  wrapTensor(memory: Handle, data: Uint8Array, dims: readonly number[], type: number): Handle;
  /** The same memory as a tensor of another shape. */
  reshapedTensor(
    memory: Handle,
    tensor: Handle,
    bytes: number,
    dims: readonly number[],
    type: number,
  ): Handle;
  releaseValue(value: Handle): void;
  dataOf(value: Handle): Handle;
  typeOf(value: Handle): number;
  dimsOf(value: Handle): number[];
  copyTensors(environment: Handle, from: readonly Handle[], to: readonly Handle[]): void;
  createRunOptions(entries: Readonly<Record<string, string>>): Handle;
  releaseRunOptions(options: Handle): void;
  releaseCapturedGraph(session: Handle, id: number): void;
  createBinding(session: Handle): Handle;
  releaseBinding(binding: Handle): void;
  bindInput(binding: Handle, name: Uint8Array, value: Handle): void;
  bindOutput(binding: Handle, name: Uint8Array, value: Handle): void;
  bindOutputTo(binding: Handle, name: Uint8Array, memory: Handle): void;
  clearBinding(binding: Handle): void;
  run(session: Handle, options: Handle | null, binding: Handle): void;
  /**
   * Runs with inputs and outputs that are given, on another thread.
   *
   * @param outputs Tensors to be written into, or 0 where one is to be made: it is put there, and the
   * caller owns it.
   */
  runApart(session: Handle, inputs: NamedValues, outputs: NamedValues): Promise<void>;
  /** Outputs in the order in which they were bound. The caller owns them. */
  boundOutputs(binding: Handle): Handle[];
}

/**
 * Opens the C API of the onnxruntime that its Node binding has loaded.
 *
 * The binding hands a fixed list of options over to a provider. What devices need most is not on it:
 * capturing graphs, how many kernels are submitted at once, weights that sessions share.
 *
 * @throws {Error} If the library is not loaded, or is older than the functions that are called here.
 */
function openCApi(): CApi {
  const library = LIBRARY[Deno.build.os];
  if (library === undefined) throw new Error(`onnxruntime has no library on ${Deno.build.os}`);
  const loaded = Deno.dlopen(library, { OrtGetApiBase: { parameters: [], result: "pointer" } });
  const base = new Deno.UnsafePointerView(pointed(loaded.symbols.OrtGetApiBase()));
  // The binding keeps it loaded.
  loaded.close();
  const definition = { parameters: ["u32"], result: "pointer" } as const;
  const getApi = new Deno.UnsafeFnPointer<typeof definition>(functionAt(base, 0), definition);
  const table = getApi.call(API_VERSION);
  if (table === null) throw new Error(`onnxruntime has no C API of version ${API_VERSION}`);
  return boundApi(new Deno.UnsafePointerView(table));
}

/** {@linkcode openCApi}, or nothing where it cannot be reached. */
export function reachedApi(): CApi | undefined {
  try {
    return openCApi();
  } catch {
    return undefined;
  }
}

// Functions are called by their place in the table, which is part of onnxruntime's ABI: places never
// change, new functions go to its end.
function boundApi(table: Deno.UnsafePointerView): CApi {
  const at = <const Fn extends Deno.ForeignFunction>(place: number, definition: Fn) =>
    new Deno.UnsafeFnPointer<Fn>(functionAt(table, place), definition);
  const one = { parameters: ["pointer"], result: "void" } as const;
  const two = { parameters: ["pointer", "buffer"], result: "pointer" } as const;
  const three = { parameters: ["pointer", "buffer", "pointer"], result: "pointer" } as const;
  const entry = { parameters: ["pointer", "buffer", "buffer"], result: "pointer" } as const;
  const setting = { parameters: ["pointer", "i32"], result: "pointer" } as const;
  const make = { parameters: ["pointer", "pointer", "buffer"], result: "pointer" } as const;
  const message = at(2, { parameters: ["pointer"], result: "pointer" });
  const createEnvironment = at(3, {
    parameters: ["i32", "buffer", "buffer"],
    result: "pointer",
  });
  const createSession = at(8, {
    parameters: ["pointer", "buffer", "usize", "pointer", "buffer"],
    result: "pointer",
  });
  const createSessionApart = at(8, {
    parameters: ["pointer", "buffer", "usize", "pointer", "buffer"],
    result: "pointer",
    nonblocking: true,
  });
  const runApart = at(9, {
    parameters: [
      ...["pointer", "pointer", "buffer", "buffer", "usize"] as const,
      ...["buffer", "usize", "buffer"] as const,
    ],
    result: "pointer",
    nonblocking: true,
  });
  const createOptions = at(10, {
    parameters: ["buffer"],
    result: "pointer",
  });
  const disablePatterns = at(17, { parameters: ["pointer"], result: "pointer" });
  const setLogSeverity = at(22, setting);
  const setIntraThreads = at(24, setting);
  const setInterThreads = at(25, setting);
  const createRunOptions = at(39, {
    parameters: ["buffer"],
    result: "pointer",
  });
  const allocateTensor = at(48, {
    parameters: ["pointer", "buffer", "usize", "i32", "buffer"],
    result: "pointer",
  });
  const wrapTensor = at(49, {
    parameters: ["pointer", "pointer", "usize", "buffer", "usize", "i32", "buffer"],
    result: "pointer",
  });
  const tensorData = at(51, two);
  const elementType = at(60, two);
  const rank = at(61, two);
  const sizes = at(62, {
    parameters: ["pointer", "buffer", "usize"],
    result: "pointer",
  });
  const typeAndShape = at(65, two);
  const createMemoryInfo = at(68, {
    parameters: ["buffer", "i32", "i32", "i32", "buffer"],
    result: "pointer",
  });
  const allocatorFree = at(76, {
    parameters: ["pointer", "pointer"],
    result: "pointer",
  });
  const defaultAllocator = at(78, {
    parameters: ["buffer"],
    result: "pointer",
  });
  const releaseStatus = at(93, one);
  const releaseSession = at(95, one);
  const releaseValue = at(96, one);
  const releaseRunOptions = at(97, one);
  const releaseTypeAndShape = at(99, one);
  const releaseOptions = at(100, one);
  const addConfigEntry = at(130, entry);
  const createAllocator = at(131, make);
  const runBound = at(133, {
    parameters: ["pointer", "pointer", "pointer"],
    result: "pointer",
  });
  const createBinding = at(134, two);
  const releaseBinding = at(135, one);
  const bindInput = at(136, three);
  const bindOutput = at(137, three);
  const bindOutputTo = at(138, three);
  const boundValues = at(140, {
    parameters: ["pointer", "pointer", "buffer", "buffer"],
    result: "pointer",
  });
  const clearInputs = at(141, one);
  const clearOutputs = at(142, one);
  const addInitializer = at(150, three);
  const addRunEntry = at(165, entry);
  const appendProvider = at(216, {
    parameters: ["pointer", "buffer", "buffer", "buffer", "usize"],
    result: "pointer",
  });
  const setEnvironmentLog = at(226, setting);
  const copyTensors = at(386, {
    parameters: ["pointer", "buffer", "buffer", "pointer", "usize"],
    result: "pointer",
  });
  const releaseCaptured = at(421, setting);

  const checked = (status: Deno.PointerValue): void => {
    if (status === null) return;
    const text = Deno.UnsafePointerView.getCString(pointed(message.call(status)));
    releaseStatus.call(status);
    throw new Error(text);
  };
  const made = (fill: (out: BigUint64Array<ArrayBuffer>) => Deno.PointerValue): Handle => {
    const out = new BigUint64Array(1);
    checked(fill(out));
    return pointed(Deno.UnsafePointer.create(out[0] ?? 0n));
  };
  const sized = (dims: readonly number[]) => BigInt64Array.from(dims, BigInt);
  const heap = made((out) => defaultAllocator.call(out));
  const shapeOf = <T>(value: Handle, read: (info: Handle) => T): T => {
    const info = made((out) => typeAndShape.call(value, out));
    try {
      return read(info);
    } finally {
      releaseTypeAndShape.call(info);
    }
  };
  return {
    createEnvironment: (name, severity) =>
      made((out) => createEnvironment.call(severity, cString(name), out)),
    setEnvironmentLogSeverity: (environment, severity) =>
      checked(setEnvironmentLog.call(environment, severity)),
    createSessionOptions: () => made((out) => createOptions.call(out)),
    releaseSessionOptions: (options) => releaseOptions.call(options),
    setThreads(options, threads) {
      checked(setIntraThreads.call(options, threads));
      checked(setInterThreads.call(options, 1));
    },
    disablePatterns: (options) => checked(disablePatterns.call(options)),
    setLogSeverity: (options, severity) => checked(setLogSeverity.call(options, severity)),
    addConfigEntry: (options, key, value) =>
      checked(addConfigEntry.call(options, cString(key), cString(value))),
    addInitializer: (options, name, value) =>
      checked(addInitializer.call(options, cString(name), value)),
    appendProvider(options, name, entries) {
      const keys: CStrings = cStrings(Object.keys(entries));
      const values: CStrings = cStrings(Object.values(entries));
      const count = BigInt(keys.texts.length);
      checked(
        appendProvider.call(options, cString(name), keys.pointers, values.pointers, count),
      );
    },
    createSession: (environment, model, options) =>
      made((out) =>
        createSession.call(environment, owned(model), BigInt(model.length), options, out)
      ),
    async createSessionApart(environment, model, options) {
      const out = new BigUint64Array(1);
      const bytes = owned(model);
      checked(
        await createSessionApart.call(environment, bytes, BigInt(bytes.length), options, out),
      );
      return pointed(Deno.UnsafePointer.create(out[0] ?? 0n));
    },
    releaseSession: (session) => releaseSession.call(session),
    createMemoryInfo: (name) => made((out) => createMemoryInfo.call(cString(name), 0, 0, 0, out)),
    createAllocator: (session, memory) => made((out) => createAllocator.call(session, memory, out)),
    allocateTensor: (allocator, dims, type) =>
      made((out) => allocateTensor.call(allocator, sized(dims), BigInt(dims.length), type, out)),
    wrapTensor: (memory, data, dims, type) =>
      made((out) =>
        wrapTensor.call(
          ...[memory, Deno.UnsafePointer.of(owned(data)), BigInt(data.byteLength)] as const,
          ...[sized(dims), BigInt(dims.length), type, out] as const,
        )
      ),
    reshapedTensor(memory, tensor, bytes, dims, type) {
      const data = made((out) => tensorData.call(tensor, out));
      return made((out) =>
        wrapTensor.call(
          ...[memory, data, BigInt(bytes), sized(dims), BigInt(dims.length), type, out] as const,
        )
      );
    },
    releaseValue: (value) => releaseValue.call(value),
    dataOf: (value) => made((out) => tensorData.call(value, out)),
    typeOf: (value) =>
      shapeOf(value, (info) => {
        const type = new Int32Array(1);
        checked(elementType.call(info, type));
        return type[0] ?? 0;
      }),
    dimsOf: (value) =>
      shapeOf(value, (info) => {
        const count = new BigUint64Array(1);
        checked(rank.call(info, count));
        const dims = new BigInt64Array(Number(count[0] ?? 0n));
        checked(sizes.call(info, dims, BigInt(dims.length)));
        return Array.from(dims, Number);
      }),
    copyTensors: (environment, from, to) =>
      checked(
        copyTensors.call(environment, addresses(from), addresses(to), null, BigInt(from.length)),
      ),
    createRunOptions(entries) {
      const options = made((out) => createRunOptions.call(out));
      for (const [key, value] of Object.entries(entries)) {
        checked(addRunEntry.call(options, cString(key), cString(value)));
      }
      return options;
    },
    releaseRunOptions: (options) => releaseRunOptions.call(options),
    releaseCapturedGraph: (session, id) => checked(releaseCaptured.call(session, id)),
    createBinding: (session) => made((out) => createBinding.call(session, out)),
    releaseBinding: (binding) => releaseBinding.call(binding),
    bindInput: (binding, name, value) => checked(bindInput.call(binding, owned(name), value)),
    bindOutput: (binding, name, value) => checked(bindOutput.call(binding, owned(name), value)),
    bindOutputTo: (binding, name, memory) =>
      checked(bindOutputTo.call(binding, owned(name), memory)),
    clearBinding(binding) {
      clearInputs.call(binding);
      clearOutputs.call(binding);
    },
    run: (session, options, binding) => checked(runBound.call(session, options, binding)),
    async runApart(session, inputs, outputs) {
      checked(
        await runApart.call(
          ...[session, null, inputs.names, inputs.values, BigInt(inputs.names.length)] as const,
          ...[outputs.names, BigInt(outputs.names.length), outputs.values] as const,
        ),
      );
    },
    boundOutputs(binding) {
      const count = new BigUint64Array(1);
      const array = new BigUint64Array(1);
      checked(boundValues.call(binding, heap, array, count));
      const address = Deno.UnsafePointer.create(array[0] ?? 0n);
      if (address === null) return [];
      const view = new Deno.UnsafePointerView(address);
      const values = Array.from(
        { length: Number(count[0] ?? 0n) },
        (_, index) => pointed(view.getPointer(index * 8)),
      );
      checked(allocatorFree.call(heap, address));
      return values;
    },
  };
}

function functionAt<Fn>(table: Deno.UnsafePointerView, place: number): Deno.PointerObject<Fn> {
  const pointer = Deno.UnsafePointer.create<Fn>(table.getBigUint64(place * 8));
  if (pointer !== null) return pointer;
  throw new Error(`onnxruntime's C API has no function ${place}`);
}

function pointed(pointer: Deno.PointerValue): Handle {
  if (pointer === null) throw new Error("onnxruntime gave nothing where it gives a pointer");
  return pointer;
}

/** Memory that is not shared between threads, as calls take it. */
function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : bytes.slice();
}

function addresses(handles: readonly Handle[]): BigUint64Array<ArrayBuffer> {
  return BigUint64Array.from(handles, (handle) => BigInt(Deno.UnsafePointer.value(handle)));
}
