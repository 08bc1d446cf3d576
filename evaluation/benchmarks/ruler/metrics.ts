import type { BenchmarkMetric } from "../benchmark.ts";

/**
 * RULER's `string_match_all`: the share of the answers that the output holds, in any case.
 *
 * @example
 * ```ts
 * import { stringMatchAll } from "./metrics.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(stringMatchAll("They are 17 and 4.", { answers: ["4", "8"] }), 0.5);
 * ```
 */
export const stringMatchAll = ((output, { answers }) => {
  const text = clean(output);
  return answers.filter((answer) => text.includes(answer.toLowerCase())).length /
    Math.max(answers.length, 1);
}) satisfies Match;

/**
 * RULER's `string_match_part`: 1 if the output holds one of the answers, in any case, otherwise 0.
 *
 * @example
 * ```ts
 * import { stringMatchPart } from "./metrics.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(stringMatchPart("In PARIS.", { answers: ["Lutetia", "Paris"] }), 1);
 * ```
 */
export const stringMatchPart = ((output, { answers }) => {
  const text = clean(output);
  return answers.some((answer) => text.includes(answer.toLowerCase())) ? 1 : 0;
}) satisfies Match;

/** A metric that looks at the answers alone. */
type Match = (
  output: string,
  sample: Pick<Parameters<BenchmarkMetric>[1], "answers">,
) => number;

/** RULER reads control characters as line breaks. */
function clean(output: string): string {
  // deno-lint-ignore no-control-regex
  return output.trim().replace(/[\x00-\x1f]/g, "\n").trim().toLowerCase();
}
