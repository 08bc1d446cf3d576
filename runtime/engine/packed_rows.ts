/**
 * What keys received: for each KV head the rows of its query heads, as long as the head holds tokens,
 * one behind the other. Where all heads hold the same number that is `[heads, length]`.
 *
 * @module
 */

/** Rows that go into the beginnings of longer ones. */
export interface Shorter {
  /** Query heads of a KV head. */
  readonly group: number;
  /** Columns of the longer rows, by KV head. */
  readonly lengths: readonly number[];
  /** Columns of the shorter rows, by KV head. */
  readonly added: readonly number[];
}

/** Adds rows to the beginnings of longer ones. */
export function addRows(total: Float32Array, rows: Float32Array, shorter: Shorter): void {
  for (const { to, from, columns } of pairsOfRows(shorter)) {
    for (let column = 0; column < columns; column++) {
      total[to + column] = (total[to + column] ?? 0) + (rows[from + column] ?? 0);
    }
  }
}

/** Raises the beginnings of longer rows to others, where these are more. */
export function raiseRows(most: Float32Array, rows: Float32Array, shorter: Shorter): void {
  for (const { to, from, columns } of pairsOfRows(shorter)) {
    for (let column = 0; column < columns; column++) {
      most[to + column] = Math.max(most[to + column] ?? 0, rows[from + column] ?? 0);
    }
  }
}

/** Where each pair of rows begins, and how long the shorter one is. */
function* pairsOfRows({ group, lengths, added }: Shorter) {
  let [to, from] = [0, 0];
  for (const [head, length] of lengths.entries()) {
    const columns = added[head] ?? 0;
    for (let row = 0; row < group; row++, to += length, from += columns) {
      yield { to, from, columns };
    }
  }
}

/** Empty rows. */
export function emptyRows(group: number, lengths: readonly number[]): Float32Array {
  return new Float32Array(group * lengths.reduce((sum, length) => sum + length, 0));
}

/** The beginnings of rows: `lengths` columns of rows that have `more` columns behind them. */
export function leadingRows(
  rows: Float32Array,
  group: number,
  lengths: readonly number[],
  more: number,
): Float32Array {
  const leading = emptyRows(group, lengths);
  let [to, from] = [0, 0];
  for (const length of lengths) {
    for (let row = 0; row < group; row++, to += length, from += length + more) {
      leading.set(rows.subarray(from, from + length), to);
    }
  }
  return leading;
}

/** The rows of one KV head. */
export function rowsOfHead(
  rows: Float32Array,
  group: number,
  lengths: readonly number[],
  head: number,
): Float32Array {
  const before = group * lengths.slice(0, head).reduce((sum, length) => sum + length, 0);
  return rows.subarray(before, before + group * (lengths[head] ?? 0));
}
