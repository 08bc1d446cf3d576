import { assertEquals, assertThrows } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { CheckpointError } from "../../../../runtime/errors.ts";
import { boundedPattern } from "../../../../runtime/tokenizer/pattern/bounded_pattern.ts";

const CHARACTER = ["a", "b", "[ab]", "[^a]", ".", "\\s", "\\p{L}", "é", "(?i:A)"];
const PLACE = ["^", "$", "\\b", "\\B", "(?m:^)", "(?m:$)", "(?=a)", "(?!b)", "(?<=a)", "(?<!b)"];
const TIMES = ["*", "+", "?", "*?", "+?", "??", "{2}", "{2,}", "{1,3}", "{0,2}?"];

/** Regular expressions in which what is repeated is never empty. */
const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(...CHARACTER, ...PLACE),
    fc.tuple(tie("pattern"), tie("pattern")).map(([a, b]) => a + b),
    fc.tuple(tie("pattern"), tie("pattern")).map(([a, b]) => `(?:${a}|${b})`),
    fc.tuple(tie("pattern"), fc.constantFrom("[ab]", "b", "."), fc.constantFrom(...TIMES))
      .map(([a, b, times]) => `(${a}${b})${times}`),
    fc.tuple(tie("pattern"), fc.constantFrom("?=", "?!", "?<=", "?<!"))
      .map(([a, looks]) => `(${looks}${a})`),
  ),
}));
const text = fc.array(fc.constantFrom("a", "b", "c", "A", " ", "é", "\n"), { maxLength: 9 })
  .map((characters) => characters.join(""));

/** What a pattern and a `RegExp` make of a text. */
function outcomes(source: string, text: string) {
  const bounded = boundedPattern(source);
  const expected = new RegExp(source, "gu");
  const listed = (matches: Iterable<{ readonly 0: string; readonly index: number }>) =>
    Array.from(matches, (match) => [match.index, match[0]]);
  return {
    bounded: {
      all: listed(bounded[Symbol.matchAll](text)),
      match: bounded[Symbol.match](text),
      replaced: bounded[Symbol.replace](text, "x"),
    },
    expected: {
      all: listed(text.matchAll(expected)),
      match: text.match(expected),
      replaced: text.replaceAll(expected, "x"),
    },
  };
}

Deno.test("boundedPattern() finds what RegExp finds", () => {
  fc.assert(
    fc.property(pattern, text, (source, given) => {
      const { bounded, expected } = outcomes(source, given);
      assertEquals(bounded, expected);
    }),
    { numRuns: 300, seed: 7 },
  );
});

Deno.test("boundedPattern() counts in UTF-16 units, and cuts no character in two", () => {
  for (const source of [".", "[😀-🙏]", "\\p{L}+|[^\\p{L}]+", "(?<=😀)b"]) {
    const { bounded, expected } = outcomes(source, "a😀b 👩‍👩‍👧");
    assertEquals(bounded, expected, source);
  }
  assertEquals(boundedPattern(",\\s*")[Symbol.split]("a, b,, c"), ["a", "b", "", "c"]);
});

for (
  const source of [
    ...["(a+)+b", "(a*)*b", "(a|a)*b", "(a|aa)+b", "((a*?)*)*b", "a*a*a*a*a*a*b"],
    ...["(?=(a+)+b)a", "(?<=(a+)+b)a", "(?!a*a*a*a*a)b", "^(a?){40}a{40}b"],
  ]
) {
  Deno.test(`boundedPattern() ends on ${source}, which takes RegExp for ever`, () => {
    assertEquals(boundedPattern(source)[Symbol.match]("a".repeat(3000)), null);
  });
}

Deno.test("boundedPattern() tries no stretch twice for matches that look far ahead", () => {
  assertEquals(boundedPattern("a*b|a")[Symbol.match]("a".repeat(20_000))?.length, 20_000);
});

Deno.test("boundedPattern() refuses what has no bound, and names it", () => {
  for (
    const [source, what] of [
      ["(a+)\\1b", "has \\1, which cannot be bounded"],
      ["((a{0,60}){0,60}){0,60}", "comes to more than 1000 steps"],
    ] as const
  ) assertThrows(() => boundedPattern(source), CheckpointError, what);
});
