/** Sums that a linear fit of several targets is made of: of `y ≈ W · x + b`. */
export interface LinearSums {
  /** Numbers of `x`. */
  readonly width: number;
  /** Targets. */
  readonly targets: number;
  /** Adds some rows, by their products: `XᵀX`, `XᵀY`, and the rows and targets themselves, for their sums. */
  add(products: {
    readonly squares: Float32Array;
    readonly products: Float32Array;
    readonly rows: Float32Array;
    readonly values: Float32Array;
  }): void;
  /**
   * The fit: `W [targets, width]` and `b [targets]`.
   *
   * @param ridge Added to the diagonal, as a share of its mean: what keeps weights small.
   */
  solve(ridge: number): LinearFit;
  /** Share of each target's variance that a fit explains; 0 where there is none. */
  explained(fit: LinearFit): readonly number[];
}

/** A linear function. */
export interface LinearFit {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** Begins to add up. */
export function linearSums(width: number, targets: number): LinearSums {
  const size = width + 1;
  // The last of the numbers is 1, for the bias.
  const squares = new Float64Array(size * size);
  const products = new Float64Array(size * targets);
  const energy = new Float64Array(targets);
  return {
    width,
    targets,
    add(added) {
      const tokens = added.rows.length / width;
      for (let i = 0; i < width; i++) {
        for (let j = 0; j < width; j++) {
          squares[i * size + j] = (squares[i * size + j] ?? 0) +
            (added.squares[i * width + j] ?? 0);
        }
        for (let k = 0; k < targets; k++) {
          products[i * targets + k] = (products[i * targets + k] ?? 0) +
            (added.products[i * targets + k] ?? 0);
        }
      }
      for (let token = 0; token < tokens; token++) {
        for (let i = 0; i < width; i++) {
          const value = added.rows[token * width + i] ?? 0;
          squares[i * size + width] = (squares[i * size + width] ?? 0) + value;
          squares[width * size + i] = (squares[width * size + i] ?? 0) + value;
        }
        for (let k = 0; k < targets; k++) {
          const value = added.values[token * targets + k] ?? 0;
          products[width * targets + k] = (products[width * targets + k] ?? 0) + value;
          energy[k] = (energy[k] ?? 0) + value * value;
        }
      }
      squares[size * size - 1] = (squares[size * size - 1] ?? 0) + tokens;
    },
    solve(ridge) {
      let trace = 0;
      for (let i = 0; i < width; i++) trace += squares[i * size + i] ?? 0;
      const regular = squares.slice();
      // The bias is not held back.
      for (let i = 0; i < width; i++) {
        regular[i * size + i] = (regular[i * size + i] ?? 0) + ridge * trace / width + 1e-12;
      }
      const solved = solveSymmetric(regular, products, size, targets);
      const weight = new Float32Array(targets * width);
      const bias = new Float32Array(targets);
      for (let k = 0; k < targets; k++) {
        for (let i = 0; i < width; i++) weight[k * width + i] = solved[i * targets + k] ?? 0;
        bias[k] = solved[width * targets + k] ?? 0;
      }
      return { weight, bias };
    },
    explained({ weight, bias }) {
      const count = squares[size * size - 1] ?? 0;
      return Array.from({ length: targets }, (_, k) => {
        const at = (i: number) => i < width ? weight[k * width + i] ?? 0 : bias[k] ?? 0;
        let error = energy[k] ?? 0;
        for (let i = 0; i < size; i++) {
          error -= 2 * at(i) * (products[i * targets + k] ?? 0);
          for (let j = 0; j < size; j++) error += at(i) * at(j) * (squares[i * size + j] ?? 0);
        }
        const sum = products[width * targets + k] ?? 0;
        const spread = (energy[k] ?? 0) - sum * sum / count;
        return spread > 0 ? 1 - error / spread : 0;
      });
    },
  };
}

/** Solves `A · X = B` for a symmetric positive `A [size, size]` by Cholesky's factors. */
function solveSymmetric(
  matrix: Float64Array,
  right: Float64Array,
  size: number,
  columns: number,
): Float64Array {
  const lower = matrix.slice();
  for (let j = 0; j < size; j++) {
    for (let i = j; i < size; i++) {
      let sum = lower[i * size + j] ?? 0;
      for (let k = 0; k < j; k++) sum -= (lower[i * size + k] ?? 0) * (lower[j * size + k] ?? 0);
      lower[i * size + j] = i === j
        ? Math.sqrt(Math.max(sum, Number.MIN_VALUE))
        : sum / (lower[j * size + j] ?? 1);
    }
  }
  const solved = right.slice();
  for (let column = 0; column < columns; column++) {
    for (let i = 0; i < size; i++) {
      let sum = solved[i * columns + column] ?? 0;
      for (let k = 0; k < i; k++) {
        sum -= (lower[i * size + k] ?? 0) * (solved[k * columns + column] ?? 0);
      }
      solved[i * columns + column] = sum / (lower[i * size + i] ?? 1);
    }
    for (let i = size - 1; i >= 0; i--) {
      let sum = solved[i * columns + column] ?? 0;
      for (let k = i + 1; k < size; k++) {
        sum -= (lower[k * size + i] ?? 0) * (solved[k * columns + column] ?? 0);
      }
      solved[i * columns + column] = sum / (lower[i * size + i] ?? 1);
    }
  }
  return solved;
}
