import type { Draw } from "../../../evaluation/benchmarks/generation/draw.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** A text, what is asked about it, and the answer, which is copied from it. */
export interface Exercise {
  readonly document: string;
  readonly question: string;
  readonly answer: string;
  /** Another answer, in two parts: how it begins, and what is copied. */
  readonly parts?: readonly [string, string];
}

/** What an exercise is made of. */
export interface ExerciseRequest {
  readonly draw: Draw;
  readonly words: Vocabulary;
  /** Sentences of prose, some in a row. */
  readonly prose: readonly string[];
  /** Tokens of the document, about. */
  readonly tokens: number;
}

/** Makes exercises of one kind. */
export type ExerciseKind = (request: ExerciseRequest) => Exercise;

/** One of some values. */
export function one<T>(draw: Draw, values: readonly [T, ...T[]]): T {
  return values[draw.integer(0, values.length - 1)] ?? values[0];
}

/** So many different texts. */
export function different(count: number, make: () => string): string[] {
  const texts = new Set<string>();
  while (texts.size < count) texts.add(make());
  return [...texts];
}

/**
 * Tokens of a text, about, as small vocabularies cut it: figures one by one, long words in parts.
 */
export function estimateTokens(text: string): number {
  const parts = text.match(/\d|\p{L}+|[^\s\d\p{L}]/gu) ?? [];
  return parts.reduce((sum, part) => sum + (part.length > 7 ? Math.ceil(part.length / 4) : 1), 0);
}

/** As many of some texts, from the first on, as make so many tokens together. */
export function upTo(tokens: number, texts: Iterable<string>): string[] {
  const taken: string[] = [];
  let sum = 0;
  for (const text of texts) {
    if (sum >= tokens) break;
    taken.push(text);
    sum += estimateTokens(text) + 1;
  }
  return taken;
}

/** Prose of so many tokens with statements anywhere in it, in their order. */
export function hidden(
  { prose, tokens, draw }: ExerciseRequest,
  statements: readonly string[],
): string {
  const taken = statements.reduce((sum, text) => sum + estimateTokens(text), 0);
  const lines = upTo(Math.max(1, tokens - taken), prose);
  const places = statements.map(() => draw.integer(0, lines.length)).sort((a, b) => b - a);
  statements.toReversed().forEach((text, at) => lines.splice(places[at] ?? 0, 0, text));
  return lines.join(" ");
}

const HEXADECIMAL = "0123456789abcdef";
const CAPITALS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/** Figures, the first not zero. */
export function figures(draw: Draw, count: number): string {
  return String(draw.integer(10 ** (count - 1), 10 ** count - 1));
}

/** An identifier of 32 characters, in one of several looks. */
export function identifier(draw: Draw): string {
  const of = (letters: string, count: number) =>
    Array.from({ length: count }, () => letters[draw.integer(0, letters.length - 1)]).join("");
  const grouped = () => Array.from({ length: 8 }, () => of(CAPITALS, 4)).join(":");
  return one(draw, [
    () => of(HEXADECIMAL, 32),
    () => of(CAPITALS, 32),
    () => of("abcdefghijkmnpqrstuvwxyz0123456789", 32),
    grouped,
  ])();
}

/** A made-up name. */
export function madeUp({ syllables }: Vocabulary, draw: Draw): string {
  const name = draw.sample(syllables, draw.integer(2, 3)).join("");
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}

/** Texts as a sentence lists them. */
export function listed(texts: readonly string[]): string {
  return texts.length < 2 ? texts.join("") : `${texts.slice(0, -1).join(", ")} and ${texts.at(-1)}`;
}
