import { type ByteRanges, utf8Ranges } from "./utf8_ranges.ts";

/** Inclusive ranges of code points, in order and apart. */
export type CodePoints = readonly (readonly [number, number])[];

/** A part of a grammar: which bytes may follow each other. */
export type Expression =
  /** Bytes as they are; none: the empty text. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** One byte of some ranges. */
  | { readonly kind: "byte"; readonly ranges: CodePoints }
  | { readonly kind: "sequence"; readonly parts: readonly Expression[] }
  | { readonly kind: "choice"; readonly parts: readonly Expression[] }
  /** The same several times; `most` may be infinite. */
  | {
    readonly kind: "repeat";
    readonly part: Expression;
    readonly least: number;
    readonly most: number;
  }
  | Rule;

/** A part that is defined later, for what contains itself. */
export interface Rule {
  readonly kind: "rule";
  body: Expression;
}

/** What cannot be met; a choice leaves it out. */
export const NEVER = undefined;

/** The empty text. */
export const EMPTY: Expression = { kind: "bytes", bytes: new Uint8Array() };

const encoder = new TextEncoder();

/** A text as it is. */
export function literal(text: string): Expression {
  return text === "" ? EMPTY : { kind: "bytes", bytes: encoder.encode(text) };
}

/** One byte of some ranges. */
export function byteOf(...ranges: CodePoints): Expression {
  return { kind: "byte", ranges };
}

/** One character of a set. */
export function oneOf(points: CodePoints): Expression | undefined {
  return bytesOf(points.flatMap(([from, to]) => utf8Ranges(from, to)));
}

/** One of some sequences of bytes; those that begin alike are together. */
function bytesOf(sequences: readonly ByteRanges[]): Expression | undefined {
  const ends: (readonly [number, number])[] = [];
  const more = new Map<string, { readonly range: readonly [number, number]; rest: ByteRanges[] }>();
  for (const [first, ...rest] of sequences) {
    if (first === undefined) continue;
    if (rest.length === 0) {
      ends.push(first);
      continue;
    }
    const key = first.join();
    const found = more.get(key) ?? { range: first, rest: [] };
    found.rest.push(rest);
    more.set(key, found);
  }
  return choice(
    ends.length === 0 ? NEVER : byteOf(...ends),
    ...[...more.values()].map(({ range, rest }) => sequence(byteOf(range), bytesOf(rest))),
  );
}

/** One thing behind the other. */
export function sequence(...given: readonly (Expression | undefined)[]): Expression | undefined {
  const parts: Expression[] = [];
  for (const part of given) {
    if (part === undefined) return NEVER;
    if (part !== EMPTY) parts.push(part);
  }
  if (parts.length === 0) return EMPTY;
  return parts.length === 1 ? parts[0] : { kind: "sequence", parts };
}

/** One of several. */
export function choice(...given: readonly (Expression | undefined)[]): Expression | undefined {
  const parts = [...new Set(given.filter((part) => part !== undefined))];
  return parts.length > 1 ? { kind: "choice", parts } : parts[0];
}

/** The same several times; `most` may be infinite. */
export function repeated(
  part: Expression | undefined,
  least: number,
  most: number,
): Expression | undefined {
  if (most < least) return NEVER;
  if (part === undefined) return least === 0 ? EMPTY : NEVER;
  if (most === 0 || part === EMPTY) return EMPTY;
  // What is repeated from once on, or not at all, may be counted in one go.
  if (part.kind === "repeat" && part.least <= 1) {
    return repeated(part.part, part.least * least, part.most * most);
  }
  return least === 1 && most === 1 ? part : { kind: "repeat", part, least, most };
}

/** Something, or nothing. */
export function optional(part: Expression | undefined): Expression {
  return choice(EMPTY, part) ?? EMPTY;
}

/** A part whose body is found later. */
export function createRule(): Rule {
  return { kind: "rule", body: EMPTY };
}
