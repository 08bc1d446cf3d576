import { adjectives, animals, colors } from "npm:unique-names-generator@4.7.1";
import type { Draw } from "../generation/draw.ts";

const PLAIN = /^[a-z]+$/;

const ADJECTIVES = adjectives.filter((word) => PLAIN.test(word));
const ANIMALS = animals.filter((word) => PLAIN.test(word));

/** English words, each once. */
const WORDS: readonly string[] = [
  ...new Set([...ADJECTIVES, ...ANIMALS, ...colors.filter((word) => PLAIN.test(word))]),
].sort();

/** A key as RULER makes them: an adjective, a hyphen and a noun. */
export function drawKey(draw: Draw): string {
  return [...draw.sample(ADJECTIVES, 1), ...draw.sample(ANIMALS, 1)].join("-");
}

/**
 * Different words in any order: English ones, and after the last of them made-up ones that can be
 * pronounced.
 */
export function createWordSource(draw: Draw): (count: number) => readonly string[] {
  const words = draw.shuffle(WORDS);
  const known = new Set(WORDS);
  return (count) => {
    while (words.length < count) {
      const word = Array.from({ length: 3 }, () => syllable(draw)).join("");
      if (known.has(word)) continue;
      known.add(word);
      words.push(word);
    }
    return words.slice(0, count);
  };
}

function syllable(draw: Draw): string {
  const [consonant = "b"] = draw.sample([..."bdfgklmnprstvz"], 1);
  const [vowel = "a"] = draw.sample([..."aeiou"], 1);
  return `${consonant}${vowel}`;
}
