import { addRows, emptyRows, leadingRows, raiseRows, rowsOfHead } from "../packed_rows.ts";
import type { HostRows, Rows } from "../rows.ts";

/**
 * Rows over an array.
 *
 * @param data Rows of each KV head behind one another.
 * @param lengths Columns of each KV head.
 * @param group Query heads of a KV head.
 */
export function hostRows(
  data: Float32Array,
  lengths: readonly number[],
  group: number,
): HostRows {
  const joined = (other: Rows, join: typeof addRows): HostRows => {
    const wider = lengths.map((length, head) => Math.max(length, other.lengths[head] ?? 0));
    const whole = wider.every((length, head) => length === lengths[head]);
    const both = whole ? data.slice() : emptyRows(group, wider);
    if (!whole) addRows(both, data, { group, lengths: wider, added: lengths });
    join(both, arrayOf(other), { group, lengths: wider, added: other.lengths });
    return hostRows(both, wider, group);
  };
  const rows: HostRows = {
    home: "host",
    data,
    lengths,
    plus: (other) => joined(other, addRows),
    most: (other) => joined(other, raiseRows),
    times(factor) {
      const product = new Float32Array(data.length);
      // Several times as fast as map().
      if (typeof factor === "number") {
        for (let at = 0; at < data.length; at++) product[at] = (data[at] ?? 0) * factor;
      } else {
        const factors = leadingOf(factor, lengths, group);
        for (let at = 0; at < data.length; at++) {
          product[at] = (data[at] ?? 0) * (factors[at] ?? 0);
        }
      }
      return hostRows(product, lengths, group);
    },
    leading(fewer) {
      const more = (lengths[0] ?? 0) - (fewer[0] ?? 0);
      return hostRows(leadingRows(data, group, fewer, more), fewer, group);
    },
    columns(indices) {
      const counts = indices.map((ofHead) => ofHead.length);
      const chosen = emptyRows(group, counts);
      let to = 0;
      for (const [head, ofHead] of indices.entries()) {
        const held = lengths[head] ?? 0;
        const from = rowsOfHead(data, group, lengths, head);
        for (let row = 0; row < group; row++) {
          for (const index of ofHead) {
            chosen[to++] = index < held ? from[row * held + index] ?? 0 : 0;
          }
        }
      }
      return hostRows(chosen, counts, group);
    },
    shared: () => rows,
    floats: () => data,
    [Symbol.dispose]() {},
  };
  return rows;
}

/** The first columns of other rows. */
function leadingOf(rows: Rows, lengths: readonly number[], group: number): Float32Array {
  const more = (rows.lengths[0] ?? 0) - (lengths[0] ?? 0);
  return more === 0 ? arrayOf(rows) : leadingRows(arrayOf(rows), group, lengths, more);
}

/** The array of rows in main memory. */
function arrayOf(rows: Rows): Float32Array {
  if (rows.home === "host") return rows.data;
  throw new TypeError("Cannot work with rows of another home: bring them to main memory first");
}
