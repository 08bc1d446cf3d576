import { ValidationError } from "@cliffy/command";

/**
 * Refuses empty words behind flags. The parser would take such a flag for one that was not given: with
 * `--policy "$POLICY"` and an unset variable, nothing would be evicted and nobody told.
 *
 * @param line The words of a command.
 * @throws {ValidationError} If a flag has an empty value.
 */
export function refuseEmptyValues(line: readonly string[]): void {
  const end = line.indexOf("--");
  const words = end < 0 ? line : line.slice(0, end);
  for (const [at, word] of words.entries()) {
    const flag = word === "" ? words[at - 1] : /^(--[^=]+)=$/.exec(word)?.[1];
    if (flag === undefined || !/^-./.test(flag) || flag.includes("=")) continue;
    throw new ValidationError(
      `Missing value behind "${flag}": the word there is empty; give one, or leave it out`,
    );
  }
}
