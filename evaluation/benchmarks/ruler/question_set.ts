import { BenchmarkError } from "../errors.ts";

/** A question about documents. */
export interface Question {
  readonly text: string;
  /** Any of them is right. */
  readonly answers: readonly string[];
  /** Numbers of the documents that it takes. */
  readonly required: readonly number[];
  /** Numbers of the documents that come next: they are close, and so more of a challenge. */
  readonly related: readonly number[];
}

/** What a file of questions holds. */
export interface QuestionSet {
  readonly documents: readonly string[];
  readonly questions: readonly Question[];
}

/** Numbers documents; the same text is the same document. */
export interface DocumentStore {
  readonly documents: readonly string[];
  /** The document's number. */
  add(document: string): number;
}

/** Opens an empty store. */
export function createDocumentStore(): DocumentStore {
  const numbers = new Map<string, number>();
  const documents: string[] = [];
  return {
    documents,
    add(document) {
      const known = numbers.get(document);
      if (known !== undefined) return known;
      numbers.set(document, documents.length);
      return documents.push(document) - 1;
    },
  };
}

/** Reads what an untrusted JSON value holds, and says where it is not what it must be. */
export interface ShapeReader {
  object(value: unknown, at: string): Readonly<Record<string, unknown>>;
  array(value: unknown, at: string): readonly unknown[];
  text(value: unknown, at: string): string;
}

/**
 * Opens a reader.
 *
 * @param place Where the value comes from.
 * @param format What it should be.
 */
export function createShapeReader(place: string, format: string): ShapeReader {
  const refuse = (at: string, what: string): never => {
    throw new BenchmarkError(
      `Cannot read ${place} as ${format}: ${at} must be ${what}; give a file in that format`,
    );
  };
  return {
    object: (value, at) =>
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value))
        : refuse(at, "an object"),
    array: (value, at) => Array.isArray(value) ? value : refuse(at, "an array"),
    text: (value, at) =>
      typeof value === "string" && value.trim() !== ""
        ? value
        : refuse(at, "a text that is not empty"),
  };
}

/** @throws {BenchmarkError} If the text is not JSON. */
export function parseJson(text: string, place: string, format: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch {
    throw new BenchmarkError(
      `Cannot read ${place} as ${format}: it is not JSON; give the file as it was published`,
    );
  }
}

/** @throws {BenchmarkError} If there is no question. */
export function requireQuestions(set: QuestionSet, place: string, format: string): QuestionSet {
  if (set.questions.length > 0) return set;
  throw new BenchmarkError(
    `Cannot read ${place} as ${format}: it has no question with an answer; give a file with one`,
  );
}
