/** A number in the header of a GGUF file that says how much, of what, or where. */
export interface GgufField {
  readonly kind: "count" | "length" | "type" | "size" | "offset";
  /** First byte. */
  readonly at: number;
  /** Bytes: 4 or 8. */
  readonly width: 4 | 8;
}

/** Where things stand in the header of a whole GGUF file. */
export interface GgufLayout {
  readonly fields: readonly GgufField[];
  /** First and last byte (excluded) of each metadata entry. */
  readonly entries: readonly (readonly [from: number, to: number])[];
  /** The same of each tensor's entry. */
  readonly tensors: readonly (readonly [from: number, to: number])[];
}

const SCALAR_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
const TEXT = 8;
const LIST = 9;

/** Reads the layout. The file must be whole; `undefined` if it turns out not to be. */
export function ggufLayout(bytes: Uint8Array): GgufLayout | undefined {
  try {
    return readLayout(new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function readLayout(view: DataView): GgufLayout {
  const fields: GgufField[] = [];
  let at = 8;
  const field = (kind: GgufField["kind"], width: 4 | 8): number => {
    fields.push({ kind, at, width });
    const value = width === 4 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
    at += width;
    return value;
  };
  const skip = (bytes: number) => {
    at += bytes;
    if (at > view.byteLength) throw new RangeError("beyond the end");
  };
  const text = () => skip(field("length", 8));
  const value = (type: number): void => {
    if (type === TEXT) return text();
    if (type !== LIST) return skip(SCALAR_BYTES[type] ?? Infinity);
    const inner = field("type", 4);
    const count = field("count", 8);
    for (let index = 0; index < count; index++) value(inner);
  };
  const tensorCount = field("count", 8);
  const entryCount = field("count", 8);
  const span = (read: () => void): readonly [number, number] => {
    const from = at;
    read();
    return [from, at];
  };
  const entries = Array.from({ length: Math.min(entryCount, 1000) }, () =>
    span(() => {
      text();
      value(field("type", 4));
    }));
  const tensors = Array.from({ length: Math.min(tensorCount, 1000) }, () =>
    span(() => {
      text();
      const dimensions = field("count", 4);
      for (let index = 0; index < Math.min(dimensions, 4); index++) field("size", 8);
      field("type", 4);
      field("offset", 8);
    }));
  return { fields, entries, tensors };
}
