import * as v from "npm:valibot@1.5.0";
import { FILLED_TEXT, type SchemaOf } from "../../../runtime/schema.ts";
import { readBenchmarkJson, readBenchmarkRecord } from "../json_lines.ts";
import {
  createDocumentStore,
  type Question,
  type QuestionSet,
  requireQuestions,
} from "./question_set.ts";

const FORMAT = "SQuAD";

const ANSWERED = v.object({
  question: FILLED_TEXT,
  answers: v.array(v.object({ text: FILLED_TEXT })),
});

/** What is marked as impossible has no answer, whatever else it has. */
const IMPOSSIBLE = v.pipe(
  v.object({ is_impossible: v.literal(true) }),
  v.transform((): v.InferOutput<typeof ANSWERED> => ({ question: "", answers: [] })),
);

const QUESTION = v.lazy((input): SchemaOf<v.InferOutput<typeof ANSWERED>> =>
  v.is(IMPOSSIBLE, input) ? IMPOSSIBLE : ANSWERED
);

const SQUAD = v.object({
  data: v.array(v.object({
    paragraphs: v.array(v.object({ context: FILLED_TEXT, qas: v.array(QUESTION) })),
  })),
});

/**
 * Reads questions from a file of SQuAD 1.1 or 2.0. Each paragraph is a document; the others of its
 * article are related. Questions without an answer are left out.
 *
 * @param place Where the text comes from, for errors.
 * @throws {BenchmarkError} If the text is not in SQuAD's format, or has no question with an answer.
 *
 * @example
 * ```ts
 * import { readSquad } from "./squad.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const qas = [{ question: "What is blue?", answers: [{ text: "The sky" }] }];
 * const text = JSON.stringify({ data: [{ paragraphs: [{ context: "The sky is blue.", qas }] }] });
 * assertEquals(readSquad(text, "a text").documents, ["The sky is blue."]);
 * ```
 */
export function readSquad(text: string, place: string): QuestionSet {
  return questionsOf(readBenchmarkJson(SQUAD, text, place, FORMAT), place);
}

/** As {@linkcode readSquad}, from what the JSON stands for. */
export function parseSquad(value: unknown, place: string): QuestionSet {
  return questionsOf(readBenchmarkRecord(SQUAD, value, place, FORMAT), place);
}

function questionsOf({ data }: v.InferOutput<typeof SQUAD>, place: string): QuestionSet {
  const store = createDocumentStore();
  const questions: Question[] = [];
  for (const article of data) {
    const paragraphs = article.paragraphs
      .map(({ context, qas }) => ({ document: store.add(context), qas }));
    for (const { document, qas } of paragraphs) {
      const related = [...new Set(paragraphs.map((other) => other.document))]
        .filter((other) => other !== document);
      for (const { question, answers } of qas) {
        if (answers.length === 0) continue;
        const texts = [...new Set(answers.map(({ text }) => text))];
        questions.push({ text: question, answers: texts, required: [document], related });
      }
    }
  }
  return requireQuestions({ documents: store.documents, questions }, place, FORMAT);
}
