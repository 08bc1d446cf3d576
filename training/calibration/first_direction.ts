/** Steps after which a direction is taken as it is: two that are as long as each other never settle. */
const MOST_STEPS = 5000;

/** How little it may still turn. */
const SETTLED = 1e-12;

/**
 * The unit vector along which vectors reach furthest, in the sum of squares: the first right-singular vector
 * of the matrix of them, turned to the side of another vector.
 *
 * @param products Sum of their outer products, `[size, size]`.
 * @param toward Decides the sign, `[size]`; a good guess ends the search sooner.
 */
export function firstDirection(products: Float64Array, toward: Float64Array): Float64Array {
  const size = toward.length;
  const times = (vector: Float64Array): Float64Array => {
    const result = new Float64Array(size);
    for (let row = 0; row < size; row++) {
      let sum = 0;
      for (let column = 0; column < size; column++) {
        sum += (products[row * size + column] ?? 0) * (vector[column] ?? 0);
      }
      result[row] = sum;
    }
    return result;
  };
  const unit = (vector: Float64Array): Float64Array => {
    const length = Math.hypot(...vector);
    return length > 0 ? vector.map((value) => value / length) : vector;
  };
  // The guess might stand at a right angle to what is sought: no number of it is 0 then.
  const reach = Math.max(...toward.map(Math.abs)) || 1;
  let found = unit(toward.map((value, at) => value + reach * 1e-3 / (at + 1)));
  for (let step = 0; step < MOST_STEPS; step++) {
    const next = unit(times(found));
    const turned = 1 - Math.abs(dot(next, found));
    found = next;
    if (turned < SETTLED) break;
  }
  return dot(found, toward) < 0 ? found.map((value) => -value) : found;
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
}
