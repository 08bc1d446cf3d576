import type { Rerotation } from "../cache/kv_cache.ts";

/** Cosines and sines of the angles that keys are rotated on by, `[kvHeads, capacity, headDim / 2]` each. */
export interface AngleTables {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/**
 * The angles that bring keys from their positions to others. Slots that nobody holds are not rotated.
 *
 * Both angles are rounded as the key's own was, so that it becomes what it would have been there.
 *
 * @param positions Present positions of each KV head's slots, one array per head, all of one length.
 */
export function angleTables(
  positions: readonly Int32Array[],
  { frequencies, to }: Rerotation,
): AngleTables {
  const half = frequencies.length;
  const capacity = positions[0]?.length ?? 0;
  const cos = new Float32Array(positions.length * capacity * half).fill(1);
  const sin = new Float32Array(cos.length);
  for (const [head, targets] of to.entries()) {
    for (const [slot, target] of targets.entries()) {
      const from = positions[head]?.[slot] ?? 0;
      if (from === target) continue;
      const row = (head * capacity + slot) * half;
      for (let i = 0; i < half; i++) {
        const frequency = frequencies[i] ?? 0;
        const angle = Math.fround(target * frequency) - Math.fround(from * frequency);
        cos[row + i] = Math.cos(angle);
        sin[row + i] = Math.sin(angle);
      }
    }
  }
  return { cos, sin };
}
