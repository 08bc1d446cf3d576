/**
 * ROUGE-L of whole texts, as the Python package `rouge` counts it, which LongBench uses: sentences end
 * at periods, words are what spaces separate, and what several sentences have in common counts once.
 *
 * @returns F1, from 0 to 1; 0 where a text has no words.
 *
 * @example
 * ```ts
 * import { rougeL } from "./rouge_l.ts";
 * import { assertAlmostEquals } from "@std/assert";
 *
 * assertAlmostEquals(rougeL("the cat sat on the mat", "the cat was on the mat"), 0.8, 1e-7);
 * ```
 */
export function rougeL(output: string, reference: string): number {
  const [said, expected] = [sentencesOf(output), sentencesOf(reference)];
  if (said.length === 0 || expected.length === 0) return 0;
  const common = new Set<string>();
  for (const sentence of expected) {
    for (const other of said) {
      for (const word of commonWords(sentence, other)) common.add(word);
    }
  }
  const recall = common.size / new Set(expected.flat()).size;
  const precision = common.size / new Set(said.flat()).size;
  return 2 * precision * recall / (precision + recall + 1e-8);
}

function sentencesOf(text: string): readonly (readonly string[])[] {
  return text.split(".").filter((sentence) => sentence.length > 0)
    .map((sentence) => sentence.trim().split(/\s+/));
}

/** A longest common subsequence; of several, the one that the package finds. */
function commonWords(a: readonly string[], b: readonly string[]): readonly string[] {
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  const at = (row: number, column: number) => lengths[row * width + column] ?? 0;
  for (let row = 1; row <= a.length; row++) {
    for (let column = 1; column <= b.length; column++) {
      lengths[row * width + column] = a[row - 1] === b[column - 1]
        ? at(row - 1, column - 1) + 1
        : Math.max(at(row - 1, column), at(row, column - 1));
    }
  }
  const words: string[] = [];
  for (let row = a.length, column = b.length; row > 0 && column > 0;) {
    const word = a[row - 1];
    if (word !== undefined && word === b[column - 1]) {
      words.push(word);
      row--;
      column--;
    } else if (at(row - 1, column) > at(row, column - 1)) row--;
    else column--;
  }
  return words;
}
