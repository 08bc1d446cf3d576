/** Which tokens of the text the entries are, since keys were rerotated to other positions. */
export interface PositionMap {
  /** Position of the first entry that was not rerotated. */
  readonly base: number;
  /** Added to the position of such an entry, it is the number of its token in the text. */
  readonly shift: number;
  /**
   * `[layer][KV head]`: numbers of the tokens at each position below the base, -1 for none, -2 where a
   * soft token stands, which is none of the text's.
   */
  readonly tokens: readonly (readonly Int32Array[])[];
}

/** Tokens that a sequence has read, evicted ones too. */
export function tokensRead(
  { position, positionMap }: {
    readonly position: number;
    readonly positionMap?: PositionMap | undefined;
  },
): number {
  return position + (positionMap?.shift ?? 0);
}

/** Stands for a soft token, which is no token of the text. */
export const SOFT_TOKEN = -2;

/**
 * Number of the token in the text that an entry is; negative where it is none of them.
 *
 * @param position What its key is rotated at.
 */
export function tokenOf(
  positionMap: PositionMap | undefined,
  layer: number,
  kvHead: number,
  position: number,
): number {
  if (!positionMap) return position;
  if (position >= positionMap.base) return position + positionMap.shift;
  return positionMap.tokens[layer]?.[kvHead]?.[position] ?? -1;
}

/** The map of a sequence whose last entries are so many soft tokens. */
export function mapWithSoftTokens(
  { position, positionMap, cache }: {
    readonly position: number;
    readonly positionMap?: PositionMap | undefined;
    readonly cache: { readonly layers: number; readonly kvHeads: number };
  },
  count: number,
): PositionMap {
  // Heads that held the same tokens at the same positions go on to share a list.
  const made = new Map<Int32Array | undefined, Int32Array>();
  const list = (layer: number, head: number): Int32Array => {
    const before = positionMap?.tokens[layer]?.[head];
    const known = made.get(before);
    if (known) return known;
    const tokens = new Int32Array(position).fill(SOFT_TOKEN, position - count);
    for (let at = 0; at < position - count; at++) {
      tokens[at] = tokenOf(positionMap, layer, head, at);
    }
    made.set(before, tokens);
    return tokens;
  };
  const { layers, kvHeads } = cache;
  return {
    base: position,
    shift: (positionMap?.shift ?? 0) - count,
    tokens: Array.from(
      { length: layers },
      (_, layer) => Array.from({ length: kvHeads }, (_, head) => list(layer, head)),
    ),
  };
}
