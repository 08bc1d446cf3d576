import type { LayerView } from "../../policies/policy.ts";
import { scorable, scorerOf } from "./layer_scorer.ts";

/**
 * Shows some tokens of a layer as if they were all that it holds.
 *
 * @param kept Tokens of each KV head that is to be shown, the same number of each.
 * @param firstHead The first of these KV heads. @default {0}
 */
export function partOfLayer(
  view: LayerView,
  kept: readonly Int32Array[],
  firstHead = 0,
): LayerView {
  const { kvHeads: all, headDim, length: whole, heads: allHeads, positions } = view;
  const group = allHeads / all;
  const kvHeads = kept.length;
  const length = kept[0]?.length ?? 0;
  /** Rows `[rows × whole]` of which some belong to each KV head. */
  const columns = <T extends Float32Array | Int32Array>(rows: T, perHead: number, into: T): T => {
    for (let row = 0; row < kvHeads * perHead; row++) {
      const tokens = kept[Math.floor(row / perHead)] ?? [];
      const from = (firstHead * perHead + row) * whole;
      tokens.forEach((token, index) => into[row * length + index] = rows[from + token] ?? 0);
    }
    return into;
  };
  const floats = (rows: Float32Array, perHead: number) =>
    columns(rows, perHead, new Float32Array(kvHeads * perHead * length));
  const entries = (rows: Float32Array): Float32Array => {
    const chosen = new Float32Array(length * kvHeads * headDim);
    for (const [head, tokens] of kept.entries()) {
      tokens.forEach((token, index) => {
        const from = (token * all + firstHead + head) * headDim;
        chosen.set(rows.subarray(from, from + headDim), (index * kvHeads + head) * headDim);
      });
    }
    return chosen;
  };
  const part: LayerView = {
    layer: view.layer,
    layers: view.layers,
    heads: kvHeads * group,
    kvHeads,
    firstHead: view.firstHead + firstHead,
    headDim,
    length,
    positions: columns(positions, 1, new Int32Array(kvHeads * length)),
    keys: async () => entries(await view.keys()),
    values: async () => entries(await view.values()),
    attention: async () => floats(await view.attention(), group),
    groupAttention: async () => floats(await view.groupAttention(), 1),
    draftAttention: async () => floats(await view.draftAttention(), group),
    async expectedLogits() {
      const { mean, variance } = await view.expectedLogits();
      return { mean: floats(mean, group), variance: floats(variance, group) };
    },
    outputNorms: async () => floats(await view.outputNorms(), 1),
    async similarity(kvHead, tokens) {
      const ofHead = kept[kvHead] ?? new Int32Array(0);
      const cosines = await view.similarity(
        firstHead + kvHead,
        // A token that does not exist is for the layer to refuse.
        tokens.map((token) => ofHead[token] ?? whole),
      );
      const chosen = new Float32Array(tokens.length * ofHead.length);
      for (let row = 0; row < tokens.length; row++) {
        ofHead.forEach((token, index) => {
          chosen[row * ofHead.length + index] = cosines[row * whole + token] ?? 0;
        });
      }
      return chosen;
    },
  };
  return scorable(part, scorerOf(view)?.part(kept, firstHead));
}

/** One view of the kept tokens, or one for each KV head where these keep different numbers. */
export function partsOfLayer(
  views: readonly LayerView[],
  kept: readonly Int32Array[],
): readonly LayerView[] {
  const [only, ...others] = views;
  if (!only) return [];
  if (others.length > 0) {
    return views.map((view, head) => partOfLayer(view, kept.slice(head, head + 1)));
  }
  const alike = kept.every(({ length }) => length === kept[0]?.length);
  return alike
    ? [partOfLayer(only, kept)]
    : kept.map((tokens, head) => partOfLayer(only, [tokens], head));
}
