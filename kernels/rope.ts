/** Rotary frequencies of a model, `[headDim / 2]`, and the factor its tables are multiplied by. */
export type RotaryFrequencies = Float32Array;

/** Positions that follow one another, and how they are rotated. */
export interface RotarySpan {
  /** Frequencies, all 0 where nothing is rotated. */
  readonly frequencies: RotaryFrequencies;
  /** The first of them. */
  readonly start: number;
}

/** Cosines and sines of a run of positions, each `[tokens, headDim / 2]`. */
export interface RotaryRows {
  /** Cosines. */
  readonly cos: Float32Array;
  /** Sines. */
  readonly sin: Float32Array;
}

/**
 * Cosines and sines for consecutive positions.
 *
 * Angles are rounded to 32 bits before the cosine, as the reference implementations do: at position
 * 100,000 the rounding is worth more than a hundredth of a radian.
 */
export function rotaryRows(
  frequencies: RotaryFrequencies,
  start: number,
  tokens: number,
): RotaryRows {
  const half = frequencies.length;
  const cos = new Float32Array(tokens * half);
  const sin = new Float32Array(tokens * half);
  for (let token = 0; token < tokens; token++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround((start + token) * (frequencies[i] ?? 0));
      cos[token * half + i] = Math.cos(angle);
      sin[token * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
