import { BenchmarkError } from "../errors.ts";

/** A question about documents. */
export interface Question {
  /** The question. */
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
  /** The documents, by number. */
  readonly documents: readonly string[];
  /** The questions. */
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

/** @throws {BenchmarkError} If there is no question. */
export function requireQuestions(set: QuestionSet, place: string, format: string): QuestionSet {
  if (set.questions.length > 0) return set;
  throw new BenchmarkError(
    `Cannot read ${place} as ${format}: it has no question with an answer; give a file with one`,
  );
}
