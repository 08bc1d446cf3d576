/** Widens float16 numbers, given as their bits. */
export function float16ToFloat32(bits: Uint16Array, into: Float32Array): void {
  into.set(new Float16Array(bits.buffer, bits.byteOffset, bits.length));
}

/** Widens bfloat16 numbers, given as their bits. */
export function bfloat16ToFloat32(bits: Uint16Array, into: Float32Array): void {
  const wide = new Uint32Array(into.buffer, into.byteOffset, bits.length);
  for (let index = 0; index < bits.length; index++) wide[index] = (bits[index] ?? 0) << 16;
}

/** Rounds to bfloat16 (nearest, ties to even) and returns the bits. */
export function float32ToBfloat16(values: Float32Array): Uint16Array {
  const wide = new Uint32Array(values.slice().buffer);
  return Uint16Array.from(wide, (bits, index) => {
    // Rounding could turn the payload of a NaN into infinity.
    if (Number.isNaN(values[index])) return 0x7fc0;
    return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  });
}
