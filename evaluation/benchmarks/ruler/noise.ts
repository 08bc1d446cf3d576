/** RULER's noise, one line of it. */
const NOISE =
  "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

const WORDS = NOISE.split(" ");

/** Words of a line of noise. */
export const NOISE_LINE_WORDS = WORDS.length;

/** Lines of noise with so many words; the last may be cut short, so that any length can be met. */
export function noiseLines(words: number): string[] {
  const whole = Math.floor(words / NOISE_LINE_WORDS);
  const rest = words % NOISE_LINE_WORDS;
  return [...new Array<string>(whole).fill(NOISE), ...rest === 0 ? [] : [cutNoise(rest)]];
}

/** So many words of noise in one line. */
export function cutNoise(words: number): string {
  return Array.from({ length: words }, (_, at) => WORDS[at % WORDS.length] ?? "").join(" ");
}

/**
 * Puts texts between the lines.
 *
 * @param positions Lines before each of the texts, ascending.
 */
export function insertLines(
  lines: readonly string[],
  texts: readonly string[],
  positions: readonly number[],
): string[] {
  const result = [...lines];
  texts.forEach((text, at) => result.splice((positions[at] ?? lines.length) + at, 0, text));
  return result;
}
