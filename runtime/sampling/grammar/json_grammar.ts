import { complement, difference, EVERY, intersection } from "./code_points.ts";
import {
  choice,
  type CodePoints,
  createRule,
  EMPTY,
  type Expression,
  literal,
  NEVER,
  oneOf,
  optional,
  repeated,
  sequence,
} from "./grammar.ts";

/** Digits before and behind the point, and of an exponent: what is read again stays finite. */
export const MOST_DIGITS = 18;

/** The parts that JSON is made of. */
export interface JsonGrammar {
  /** Inside of brackets and behind commas: nothing, a space, or a new line with its indentation. */
  readonly space: Expression;
  /** What stands between two members or items. */
  readonly comma: Expression;
  readonly integer: Expression;
  readonly number: Expression;
  /** One character of a string, escaped ones too. */
  readonly character: Expression;
  readonly string: Expression;
  /** Any value. */
  readonly value: Expression;
  readonly object: Expression;
  readonly array: Expression;
  /** One character of a string that stands for one of a set. */
  charactersOf(points: CodePoints): Expression | undefined;
  /** One character of a string that needs no escape and is none of a set. */
  plainCharactersBut(points: CodePoints): Expression | undefined;
  /** A value as it is written. */
  constant(value: unknown): Expression;
  /** An object or array around what `inside` may be. */
  enclosed(open: string, inside: Expression | undefined, close: string): Expression | undefined;
  /** A member's name and its value. */
  member(key: Expression | undefined, value: Expression | undefined): Expression | undefined;
}

/** Characters that a string has to escape. */
const SPECIAL: CodePoints = [[0, 0x1f], [0x22, 0x22], [0x5c, 0x5c]];
const DIGIT: CodePoints = [[0x30, 0x39]];
const HEX: CodePoints = [[0x30, 0x39], [0x41, 0x46], [0x61, 0x66]];

/** So many digits. */
export function digits(least: number, most = least): Expression {
  return repeated(oneOf(DIGIT), least, most) ?? EMPTY;
}

/** One of some characters. */
export function anyOf(characters: string): Expression {
  return oneOf(Array.from(characters, pointOf)) ?? EMPTY;
}

/** Makes the parts of JSON. */
export function createJsonGrammar(): JsonGrammar {
  const known = (part: Expression | undefined): Expression => part ?? EMPTY;
  // No more of it, or a model that is lost writes nothing else.
  const indent = sequence(literal("\n"), repeated(anyOf(" \t"), 0, 40));
  const space = known(choice(EMPTY, literal(" "), indent));
  const comma = known(sequence(literal(","), space));
  const natural = choice(
    literal("0"),
    sequence(anyOf("123456789"), digits(0, MOST_DIGITS - 1)),
  );
  const integer = known(sequence(optional(literal("-")), natural));
  const number = known(sequence(
    integer,
    optional(sequence(literal("."), digits(1, MOST_DIGITS))),
    optional(sequence(anyOf("eE"), optional(anyOf("+-")), digits(1, 2))),
  ));
  const character = known(choice(oneOf(difference(EVERY, SPECIAL)), escape()));
  const quote = literal('"');
  const string = known(sequence(quote, repeated(character, 0, Infinity), quote));
  const enclosed: JsonGrammar["enclosed"] = (open, inside, close) =>
    inside === EMPTY
      ? sequence(literal(open), space, literal(close))
      : sequence(literal(open), space, inside, space, literal(close));
  const member: JsonGrammar["member"] = (key, given) =>
    sequence(key, literal(":"), optional(literal(" ")), given);
  const listed = (part: Expression | undefined) =>
    optional(sequence(part, repeated(sequence(comma, part), 0, Infinity)));

  const value = createRule();
  const object = known(enclosed("{", listed(member(string, value)), "}"));
  const array = known(enclosed("[", listed(value), "]"));
  value.body = known(
    choice(object, array, string, number, ...["true", "false", "null"].map(literal)),
  );
  const constant = (given: unknown): Expression => {
    if (Array.isArray(given)) {
      const items = given.flatMap((item, index) => [...(index > 0 ? [comma] : []), constant(item)]);
      return known(enclosed("[", sequence(...items), "]"));
    }
    if (typeof given === "object" && given !== null) {
      const members = Object.entries(given).flatMap(([key, inner], index) => [
        ...(index > 0 ? [comma] : []),
        member(literal(JSON.stringify(key)), constant(inner)),
      ]);
      return known(enclosed("{", sequence(...members), "}"));
    }
    return literal(JSON.stringify(given));
  };
  return {
    space,
    comma,
    integer,
    number,
    character,
    string,
    value,
    object,
    array,
    constant,
    enclosed,
    member,
    charactersOf,
    plainCharactersBut: (points) => oneOf(difference(difference(EVERY, SPECIAL), points)),
  };
}

/** What follows a backslash, which surrogates only do in pairs. */
function escape(): Expression | undefined {
  const hex = oneOf(HEX);
  const unicode = choice(
    sequence(anyOf("0123456789ABCEFabcef"), hex, hex, hex),
    sequence(anyOf("Dd"), anyOf("01234567"), hex, hex),
    sequence(
      anyOf("Dd"),
      anyOf("89ABab"),
      hex,
      hex,
      literal("\\u"),
      anyOf("Dd"),
      anyOf("CDEFcdef"),
      hex,
      hex,
    ),
  );
  return sequence(literal("\\"), choice(anyOf(`"\\/bfnrt`), sequence(literal("u"), unicode)));
}

function charactersOf(points: CodePoints): Expression | undefined {
  const plain = oneOf(intersection(points, complement(SPECIAL)));
  const special = intersection(points, SPECIAL).flatMap(([from, to]) =>
    Array.from({ length: to - from + 1 }, (_, index) => {
      const escaped = JSON.stringify(String.fromCodePoint(from + index)).slice(1, -1);
      return literal(escaped);
    })
  );
  return points.length === 0 ? NEVER : choice(plain, ...special);
}

function pointOf(character: string): readonly [number, number] {
  const point = character.codePointAt(0) ?? 0;
  return [point, point];
}
