import { allocate, release } from "./memory.ts";
import {
  copyNarrow,
  narrowBytes,
  narrowed,
  type NarrowPrecision,
  type NarrowRows,
  releaseNarrow,
  widen,
} from "./narrow_rows.ts";

/** Keys and values of a layer at rest. */
export interface NarrowStore {
  readonly keys: NarrowRows;
  readonly values: NarrowRows;
}

/** A layer that can come to rest: `keys` and `values` then hold nothing. */
export interface Restable {
  keys: Float32Array<ArrayBuffer>;
  values: Float32Array<ArrayBuffer>;
  /** What it holds at rest. */
  narrow?: NarrowStore | undefined;
}

/** Rounds what a layer holds, and gives the memory of the floats back. */
export function restLayer(layer: Restable, headDim: number, precision: NarrowPrecision): void {
  if (layer.narrow?.keys.precision === precision) return;
  wakeLayer(layer, headDim);
  layer.narrow = {
    keys: narrowed(layer.keys, headDim, precision),
    values: narrowed(layer.values, headDim, precision),
  };
  release(layer.keys.buffer);
  release(layer.values.buffer);
  layer.keys = new Float32Array(allocate(0));
  layer.values = new Float32Array(allocate(0));
}

/** Makes the floats of a layer at rest, to be worked with. */
export function wakeLayer(layer: Restable, headDim: number): void {
  const { narrow } = layer;
  if (!narrow) return;
  layer.narrow = undefined;
  layer.keys = widened(narrow.keys, headDim);
  layer.values = widened(narrow.values, headDim);
  releaseResting(narrow);
}

/** A copy of the first entries of a layer at rest, at rest too. */
export function copyResting(
  { keys, values }: NarrowStore,
  entries: number,
  headDim: number,
): NarrowStore {
  return {
    keys: copyNarrow(keys, entries, headDim),
    values: copyNarrow(values, entries, headDim),
  };
}

/** Bytes of the keys and values of a layer at rest. */
export function restingBytes({ keys, values }: NarrowStore): number {
  return narrowBytes(keys) + narrowBytes(values);
}

/** Gives the memory of a layer at rest back. */
export function releaseResting({ keys, values }: NarrowStore): void {
  releaseNarrow(keys);
  releaseNarrow(values);
}

function widened(rows: NarrowRows, headDim: number): Float32Array<ArrayBuffer> {
  const floats = new Float32Array(
    allocate(rows.numbers.length * Float32Array.BYTES_PER_ELEMENT),
  );
  widen(rows, headDim, floats);
  return floats;
}
