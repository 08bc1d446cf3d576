import { byteOf, choice, createRule, EMPTY, type Expression, sequence } from "./grammar.ts";

/**
 * Any bytes, but that something must follow each time that a mark was written.
 *
 * @param mark Its first byte does not come again in it.
 * @param then What follows the mark.
 * @param again Whether more text, and more marks, may follow that.
 */
export function textWithMarks(mark: string, then: Expression, again: boolean): Expression {
  const bytes = new TextEncoder().encode(mark);
  const [first = 0] = bytes;
  // Rule `n`: so many bytes of the mark were written last.
  const rules = Array.from(bytes, createRule);
  const start = rules[0] ?? createRule();
  const begun = rules[1] ?? start;
  for (const [index, rule] of rules.entries()) {
    const wanted = bytes[index] ?? 0;
    const next = rules[index + 1] ?? sequence(then, again ? start : EMPTY);
    rule.body = choice(
      EMPTY,
      sequence(byteOf([wanted, wanted]), next),
      ...(wanted === first ? [] : [sequence(byteOf([first, first]), begun)]),
      sequence(byteOf(...others(wanted, first)), start),
    ) ?? EMPTY;
  }
  return start;
}

function others(a: number, b: number): [number, number][] {
  const ends = [...new Set([-1, a, b, 256])].sort((one, other) => one - other);
  return ends.slice(1).map((end, index): [number, number] => [(ends[index] ?? 0) + 1, end - 1])
    .filter(([from, to]) => from <= to);
}
