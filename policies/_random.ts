/** Uniform numbers from 0 up to, not including, 1. */
export type Prng = () => number;

/**
 * A generator that gives the same numbers on every machine, as it uses integer arithmetic alone: a
 * counter, started from the seeds and scrambled.
 */
export function createPrng(...seeds: readonly number[]): Prng {
  let state = seeds.reduce((mixed, seed) => scramble((mixed + seed + 0x9e3779b9) | 0), 0);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    return (scramble(state) >>> 0) / 2 ** 32;
  };
}

/** Spreads every bit over all 32 (the finaliser of MurmurHash3). */
function scramble(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}
