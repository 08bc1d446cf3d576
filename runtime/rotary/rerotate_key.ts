/**
 * Rerotates a rotated key from one position to another, in place.
 *
 * Both angles are rounded as the key's own was, so that it becomes what it would have been there.
 *
 * @param key `[headDim]`, its first half paired with its second.
 * @param frequencies `[headDim / 2]`.
 */
export function rerotateKey(
  key: Float32Array,
  frequencies: Float32Array,
  from: number,
  to: number,
): void {
  if (from === to) return;
  const half = frequencies.length;
  for (let i = 0; i < half; i++) {
    const frequency = frequencies[i] ?? 0;
    const angle = Math.fround(to * frequency) - Math.fround(from * frequency);
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const [a, b] = [key[i] ?? 0, key[half + i] ?? 0];
    key[i] = a * cos - b * sin;
    key[half + i] = b * cos + a * sin;
  }
}
