/** `[tokens, kvHeads, headDim]` as `[kvHeads, slots, headDim]`; slots to spare hold what never counts. */
export function byHead(
  rows: Float32Array,
  { kvHeads, headDim }: { readonly kvHeads: number; readonly headDim: number },
  slots = rows.length / kvHeads / headDim,
): Float32Array {
  const tokens = rows.length / kvHeads / headDim;
  const turned = new Float32Array(kvHeads * slots * headDim).fill(NaN);
  for (let head = 0; head < kvHeads; head++) {
    for (let token = 0; token < tokens; token++) {
      const from = (token * kvHeads + head) * headDim;
      turned.set(rows.subarray(from, from + headDim), (head * slots + token) * headDim);
    }
  }
  return turned;
}
