/** Which tokens of the text the entries are, since keys were rerotated to other positions. */
export interface PositionMap {
  /** Position of the first entry that was not rerotated. */
  readonly base: number;
  /** Added to the position of such an entry, it is the number of its token in the text. */
  readonly shift: number;
  /** `[layer][KV head]`: numbers of the tokens at each position below the base, -1 for none. */
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

/**
 * Number of the token in the text that an entry is.
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
