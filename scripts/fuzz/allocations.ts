/** Counts the bytes of the arrays that a piece of work asks for. */
export interface AllocationMeter {
  /**
   * Starts counting anew.
   *
   * @param limit Bytes; a request that goes beyond throws instead of allocating.
   */
  start(limit: number): void;
  /** Stops counting and returns the bytes that were asked for. */
  stop(): number;
}

/** An array was asked for that is larger than the file and the allowance. */
export class AllocationError extends Error {
  override readonly name = "AllocationError";
}

type Constructor = new (...given: never[]) => object;

/** Puts a meter into the constructors of buffers and typed arrays of this process, for good. */
export function meterAllocations(): AllocationMeter {
  let limit = Infinity;
  let counted = 0;
  const count = (bytes: number) => {
    counted += bytes;
    if (bytes <= limit) return;
    throw new AllocationError(`asks for an array of ${bytes} bytes where ${limit} are allowed`);
  };
  const watch = (name: string, width: number) => {
    const original = Reflect.get(globalThis, name) as Constructor;
    const watched = new Proxy(original, {
      construct(target, given: unknown[], caller) {
        const [length] = given;
        if (typeof length === "number") count(length * width);
        return Reflect.construct(target, given, caller);
      },
    });
    Reflect.set(globalThis, name, watched);
    // Libraries look arrays up by their constructor.
    Object.defineProperty(original.prototype, "constructor", { value: watched });
  };
  watch("ArrayBuffer", 1);
  for (const type of [Uint8Array, Int8Array, Uint8ClampedArray, Uint16Array, Int16Array]) {
    watch(type.name, type.BYTES_PER_ELEMENT);
  }
  for (const type of [Float16Array, Float32Array, Float64Array, Uint32Array, Int32Array]) {
    watch(type.name, type.BYTES_PER_ELEMENT);
  }
  for (const type of [BigInt64Array, BigUint64Array]) watch(type.name, type.BYTES_PER_ELEMENT);
  return {
    start(allowed) {
      limit = allowed;
      counted = 0;
    },
    stop() {
      limit = Infinity;
      return counted;
    },
  };
}
