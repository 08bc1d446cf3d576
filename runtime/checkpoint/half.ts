const FLOAT16_VALUES = 65536;

/** Widens float16 numbers, given as their bits. */
export function float16ToFloat32(bits: Uint16Array, into: Float32Array): void {
  // A table pays off only for arrays that are longer than it: built by the engine's own float16.
  if (bits.length < FLOAT16_VALUES) {
    into.set(new Float16Array(bits.buffer, bits.byteOffset, bits.length));
    return;
  }
  const table = float16Table();
  for (let index = 0; index < bits.length; index++) into[index] = table[bits[index] ?? 0] ?? 0;
}

/** Value of each float16 bit pattern, `[65536]`. */
export function float16Table(): Float32Array {
  const bits = Uint16Array.from({ length: FLOAT16_VALUES }, (_, index) => index);
  return new Float32Array(new Float16Array(bits.buffer));
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
