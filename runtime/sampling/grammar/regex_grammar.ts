import { type AST, RegExpParser } from "npm:@eslint-community/regexpp@4.12.3";
import { ConstraintError } from "../../errors.ts";
import { complement, difference, EVERY, matching, normalized } from "./code_points.ts";
import {
  choice,
  type CodePoints,
  EMPTY,
  type Expression,
  NEVER,
  repeated,
  sequence,
} from "./grammar.ts";

/** How characters are written. */
export type CharacterWriter = (points: CodePoints) => Expression | undefined;

/** What a pattern comes to. */
export interface RegexGrammar {
  readonly expression: Expression | undefined;
  /** Characters at least and at most. */
  readonly lengths: readonly [number, number];
}

/** How patterns are read. */
export interface RegexOptions {
  readonly write: CharacterWriter;
  /** The whole text must match, rather than a part of it. */
  readonly whole: boolean;
  /** What the pattern is for, in messages. */
  readonly where: string;
}

const LINE_ENDS: CodePoints = [[0xa, 0xa], [0xd, 0xd], [0x2028, 0x2029]];
const DIGITS: CodePoints = [[0x30, 0x39]];
const WORD: CodePoints = [[0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];

/** Repetitions at most: a stranger's pattern must not fill memory. */
const MOST_REPETITIONS = 10_000;

/**
 * Makes a grammar of a regular expression of JavaScript, with Unicode (`u`).
 *
 * @throws {ConstraintError} If it is none, or has what no grammar can say: references back, looking
 * ahead or behind, word boundaries, anchors elsewhere than at the ends.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { oneOf } from "./grammar.ts";
 *
 * const options = { write: oneOf, whole: true, where: "regex" };
 * assertEquals(regexGrammar("a{2}[bc]?", options).lengths, [2, 3]);
 * ```
 */
export function regexGrammar(pattern: string, options: RegexOptions): RegexGrammar {
  const { write, whole, where } = options;
  const refuse = (what: string): never => {
    throw new ConstraintError(
      `Cannot constrain an answer by ${where}: the pattern ${JSON.stringify(pattern)} ${what}`,
    );
  };
  const any = { expression: repeated(write(EVERY), 0, Infinity), lengths: [0, Infinity] } as const;

  /** The branches of a pattern that is nothing but a group are those of the group. */
  const branches = (alternatives: readonly AST.Alternative[]): readonly AST.Alternative[] =>
    alternatives.flatMap((alternative) => {
      const [only, ...others] = alternative.elements;
      const group = only?.type === "Group" || only?.type === "CapturingGroup";
      return group && others.length === 0 ? branches(only.alternatives) : [alternative];
    });
  const outer = (alternative: AST.Alternative): RegexGrammar => {
    const elements = [...alternative.elements];
    const isEdge = (element: AST.Element | undefined, kind: "start" | "end") =>
      element?.type === "Assertion" && element.kind === kind;
    let open = !whole;
    let openEnd = !whole;
    while (isEdge(elements[0], "start")) {
      elements.shift();
      open = false;
    }
    while (isEdge(elements.at(-1), "end")) {
      elements.pop();
      openEnd = false;
    }
    return inSequence([...(open ? [any] : []), ...elements.map(visit), ...(openEnd ? [any] : [])]);
  };
  const visit = (element: AST.Element): RegexGrammar => {
    switch (element.type) {
      case "Character":
        return oneCharacter([[element.value, element.value]]);
      case "CharacterSet":
      case "CharacterClass":
        return oneCharacter(pointsOf(element));
      case "Group":
        if (element.modifiers) return refuse("has modifiers, which are not supported");
        return inChoice(element.alternatives.map((one) => inSequence(one.elements.map(visit))));
      case "CapturingGroup":
        return inChoice(element.alternatives.map((one) => inSequence(one.elements.map(visit))));
      case "Quantifier":
        return times(visit(element.element), element.min, element.max);
      case "Assertion":
        return refuse(
          element.kind === "start" || element.kind === "end"
            ? `has ${element.raw} elsewhere than at an end, which is not supported`
            : `has ${element.raw}, which looks around itself: that is not supported`,
        );
      case "Backreference":
        return refuse(`refers back with ${element.raw}, which is not supported`);
      default:
        return refuse(`has ${element.raw}, which is not supported`);
    }
  };
  const pointsOf = (set: AST.CharacterSet | AST.CharacterClass): CodePoints => {
    if (set.type === "CharacterSet") {
      if (set.kind === "any") return difference(EVERY, LINE_ENDS);
      const known = set.kind === "digit" ? DIGITS : set.kind === "word" ? WORD : undefined;
      if (known) return set.negate ? complement(known) : known;
      return matching(new RegExp(`^${set.raw}$`, "u"));
    }
    const parts = set.elements.flatMap((element): CodePoints => {
      switch (element.type) {
        case "Character":
          return [[element.value, element.value]];
        case "CharacterClassRange":
          return [[element.min.value, element.max.value]];
        case "CharacterSet":
          return pointsOf(element);
        default:
          return refuse(`has ${element.raw}, which is not supported`);
      }
    });
    return set.negate ? complement(parts) : difference(normalized(parts), [[0xd800, 0xdfff]]);
  };
  const oneCharacter = (points: CodePoints): RegexGrammar => ({
    expression: write(points),
    lengths: [1, 1],
  });
  const times = (part: RegexGrammar, least: number, most: number): RegexGrammar => {
    if (least > MOST_REPETITIONS || (most !== Infinity && most > MOST_REPETITIONS)) {
      return refuse(`repeats more than ${MOST_REPETITIONS} times`);
    }
    const [shortest, longest] = part.lengths;
    return {
      expression: repeated(part.expression, least, most),
      lengths: [shortest * least, longest === 0 || most === 0 ? 0 : longest * most],
    };
  };
  try {
    const parsed = new RegExpParser().parsePattern(pattern, 0, pattern.length, { unicode: true });
    return inChoice(branches(parsed.alternatives).map(outer));
  } catch (error) {
    if (error instanceof ConstraintError) throw error;
    return refuse(`is not valid: ${error instanceof Error ? error.message : error}`);
  }
}

function inSequence(parts: readonly RegexGrammar[]): RegexGrammar {
  return {
    expression: sequence(...parts.map(({ expression }) => expression)),
    lengths: [
      parts.reduce((sum, { lengths: [shortest] }) => sum + shortest, 0),
      parts.reduce((sum, { lengths: [, longest] }) => sum + longest, 0),
    ],
  };
}

function inChoice(parts: readonly RegexGrammar[]): RegexGrammar {
  const possible = parts.filter(({ expression }) => expression !== undefined);
  return {
    expression: possible.length === 0
      ? NEVER
      : choice(...possible.map(({ expression }) => expression)) ?? EMPTY,
    lengths: [
      Math.min(...possible.map(({ lengths: [shortest] }) => shortest)),
      Math.max(...possible.map(({ lengths: [, longest] }) => longest)),
    ],
  };
}
