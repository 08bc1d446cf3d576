/** A stretch of a text, in UTF-16 units. */
export interface TextSpan {
  /** Its first unit. */
  readonly from: number;
  /** Behind its last unit. Where it equals `from`, the span is the place between two units. */
  readonly to: number;
}

/**
 * Text in which some places are a user's: a control token that reaches into one of them is not meant
 * as such, and is read as plain text.
 */
export interface GuardedText {
  /** All of it. */
  readonly text: string;
  /** In order, not overlapping. */
  readonly guards: readonly TextSpan[];
}

/**
 * Text of a user: nothing in it is a control token.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(plainText("hi").guards, [{ from: 0, to: 2 }]);
 * ```
 */
export function plainText(text: string): GuardedText {
  return { text, guards: [{ from: 0, to: text.length }] };
}

/** Two texts, one behind the other. */
export function joinGuarded(first: GuardedText, second: GuardedText): GuardedText {
  const by = first.text.length;
  const moved = second.guards.map(({ from, to }) => ({ from: from + by, to: to + by }));
  return { text: first.text + second.text, guards: [...first.guards, ...moved] };
}

/** A part of a text. */
export function sliceGuarded(
  { text, guards }: GuardedText,
  from: number,
  to = text.length,
): GuardedText {
  const inside = guards
    .filter((guard) => guard.to >= from && guard.from <= to)
    .map((guard) => ({
      from: Math.max(guard.from, from) - from,
      to: Math.min(guard.to, to) - from,
    }));
  return { text: text.slice(from, to), guards: inside };
}
