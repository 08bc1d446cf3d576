import { markBefore, rollbackSequence, type Sequence, type SequenceMark } from "./sequence.ts";

/** Where a sequence began: it can be read again from there whatever its windows have dropped. */
export function beginning({ cache, planned }: Sequence): SequenceMark {
  return { cache: { lengths: new Array<number>(cache.layers).fill(0) }, position: 0, planned };
}

/** Whether so many of the last tokens can be taken out exactly as they are. */
export function canGoBack(sequence: Sequence, tokens: number): boolean {
  return sequence.cache.canRollBack(markBefore(sequence, tokens).cache);
}

/**
 * Takes the last tokens out of a sequence, and as many more as are needed where windows have moved on:
 * these are then to be read again. Nothing may have been evicted since.
 *
 * @param points Earlier moments of this sequence, those that are held.
 * @returns How many tokens were taken out.
 * @throws {RangeError} If no point lies before them.
 */
export function goBack(
  sequence: Sequence,
  tokens: number,
  points: readonly SequenceMark[],
): number {
  const { cache, position, planned } = sequence;
  const wanted = markBefore(sequence, tokens);
  const [found] = [wanted, ...points]
    .filter((point) => point.position <= wanted.position && cache.canRollBack(point.cache))
    .sort((a, b) => b.position - a.position);
  if (!found) {
    throw new RangeError(
      `Cannot take ${tokens} tokens out of a sequence: its windows have moved on, and no moment ` +
        "before them is held",
    );
  }
  rollbackSequence(sequence, { ...found, planned });
  return position - found.position;
}

/**
 * How many of the last tokens can be taken out exactly, at most so many. No position is below 0: where keys
 * were rerotated, moments may have come to lie there.
 */
export function reachOf(
  sequence: Sequence,
  most: number,
  points: readonly SequenceMark[],
): number {
  const furthest = points
    .filter(({ cache, position }) => position >= 0 && sequence.cache.canRollBack(cache))
    .map(({ position }) => sequence.position - position);
  let reach = Math.min(most, Math.max(0, ...furthest));
  // Windows keep some tokens to spare: what they reach over without a point.
  for (let beyond = Math.min(most, sequence.position); reach < beyond;) {
    const middle = Math.ceil((reach + beyond) / 2);
    if (canGoBack(sequence, middle)) reach = middle;
    else beyond = middle - 1;
  }
  return reach;
}
