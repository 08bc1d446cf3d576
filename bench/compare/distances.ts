/** How far apart two engines are behind one prompt. */
export interface Distances {
  /** Largest difference of the first logits, over the ten best of the first engine. */
  readonly bestTen: number;
  /** Whether these ten are the second's ten best, too. */
  readonly sameTen: boolean;
  /** Root of the mean square difference over the vocabulary and all steps. */
  readonly rms: number;
  /** Steps at which their likeliest tokens differ. */
  readonly differing: readonly Difference[];
}

/** A step at which two engines would go on differently. */
export interface Difference {
  readonly step: number;
  readonly first: number;
  readonly second: number;
  /** By how much the first engine prefers its own token to the second's, in logits. */
  readonly firstMargin: number;
  /** By how much the second one does. */
  readonly secondMargin: number;
}

/** Compares two engines' logits along the same tokens, each `[steps, vocabulary]`. */
export function distancesOf(
  first: Float32Array,
  second: Float32Array,
  vocabulary: number,
): Distances {
  const row = (logits: Float32Array, step: number) =>
    logits.subarray(step * vocabulary, (step + 1) * vocabulary);
  const [own, other] = [row(first, 0), row(second, 0)];
  const ten = best(own, 10);
  const otherTen = new Set(best(other, 10));
  let squares = 0;
  for (const [index, value] of first.entries()) squares += (value - (second[index] ?? NaN)) ** 2;
  const differing: Difference[] = [];
  for (let step = 0; step < first.length / vocabulary; step++) {
    const [a, b] = [row(first, step), row(second, step)];
    const [[bestOfA = 0], [bestOfB = 0]] = [best(a, 1), best(b, 1)];
    if (bestOfA === bestOfB) continue;
    differing.push({
      step,
      first: bestOfA,
      second: bestOfB,
      firstMargin: (a[bestOfA] ?? NaN) - (a[bestOfB] ?? NaN),
      secondMargin: (b[bestOfB] ?? NaN) - (b[bestOfA] ?? NaN),
    });
  }
  return {
    bestTen: Math.max(...ten.map((id) => Math.abs((own[id] ?? NaN) - (other[id] ?? NaN)))),
    sameTen: ten.every((id) => otherTen.has(id)),
    rms: Math.sqrt(squares / first.length),
    differing,
  };
}

/** Indices of the largest values, the largest first. */
function best(values: Float32Array, count: number): number[] {
  const found: number[] = [];
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? -Infinity;
    const last = found.at(-1);
    if (found.length === count && value <= (values[last ?? 0] ?? -Infinity)) continue;
    const at = found.findIndex((other) => value > (values[other] ?? -Infinity));
    found.splice(at < 0 ? found.length : at, 0, index);
    if (found.length > count) found.pop();
  }
  return found;
}
