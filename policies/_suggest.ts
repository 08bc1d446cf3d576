/**
 * Ends a sentence about an unknown name: `"; did you mean 'window'?"` where a known name is close to
 * it, else `"."`.
 *
 * Letter case and the characters between words do not count.
 */
export function suggest(name: string, known: readonly string[]): string {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  const wanted = plain(name);
  const [best] = known
    .map((candidate) => ({ candidate, distance: editDistance(wanted, plain(candidate)) }))
    .sort((a, b) => a.distance - b.distance);
  if (best === undefined || best.distance > Math.max(1, wanted.length / 3)) return ".";
  return `; did you mean '${best.candidate}'?`;
}

/** Insertions, deletions and substitutions between two words (Levenshtein). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [row, letter] of [...a].entries()) {
    const current = [row + 1];
    for (let column = 0; column < b.length; column++) {
      current.push(Math.min(
        (current[column] ?? 0) + 1,
        (previous[column + 1] ?? 0) + 1,
        (previous[column] ?? 0) + (letter === b[column] ? 0 : 1),
      ));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
