/** What to write over in a tensor's entry. */
export interface TensorPatch {
  /** ggml's number of another format. */
  readonly type?: number;
  /** Bytes to move the tensor by. */
  readonly moveBy?: number;
}

/** Writes over one tensor's entry in the header of a GGUF file; the tensor has two dimensions. */
export async function patchGguf(
  path: string,
  tensor: string,
  { type, moveBy = 0 }: TensorPatch,
): Promise<void> {
  const bytes = await Deno.readFile(path);
  const name = new TextEncoder().encode(tensor);
  const at = bytes.findIndex((_, i) => name.every((byte, k) => bytes[i + k] === byte));
  if (at < 0) throw new RangeError(`No tensor ${tensor} in ${path}`);
  // The name is followed by the number of dimensions, two dimensions, the type and the offset.
  const view = new DataView(bytes.buffer, at + name.length + 4 + 16);
  if (type !== undefined) view.setUint32(0, type, true);
  view.setBigUint64(4, view.getBigUint64(4, true) + BigInt(moveBy), true);
  await Deno.writeFile(path, bytes);
}
