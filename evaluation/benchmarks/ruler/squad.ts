import {
  createDocumentStore,
  createShapeReader,
  parseJson,
  type Question,
  type QuestionSet,
  requireQuestions,
} from "./question_set.ts";

const FORMAT = "SQuAD";

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
  return parseSquad(parseJson(text, place, FORMAT), place);
}

/** As {@linkcode readSquad}, from what the JSON stands for. */
export function parseSquad(value: unknown, place: string): QuestionSet {
  const read = createShapeReader(place, FORMAT);
  const store = createDocumentStore();
  const questions: Question[] = [];
  const articles = read.array(read.object(value, "the file").data, "data");
  for (const [articleAt, article] of articles.entries()) {
    const at = `data[${articleAt}].paragraphs`;
    const paragraphs = read.array(read.object(article, `data[${articleAt}]`).paragraphs, at)
      .map((paragraph, index) => {
        const { context, qas } = read.object(paragraph, `${at}[${index}]`);
        const document = store.add(read.text(context, `${at}[${index}].context`));
        return { document, qas: read.array(qas, `${at}[${index}].qas`), at: `${at}[${index}].qas` };
      });
    for (const { document, qas, at } of paragraphs) {
      const related = [...new Set(paragraphs.map((other) => other.document))]
        .filter((other) => other !== document);
      for (const [index, qa] of qas.entries()) {
        const { question, answers, is_impossible } = read.object(qa, `${at}[${index}]`);
        if (is_impossible === true) continue;
        const texts = read.array(answers, `${at}[${index}].answers`).map((answer, number) => {
          const place = `${at}[${index}].answers[${number}]`;
          return read.text(read.object(answer, place).text, `${place}.text`);
        });
        if (texts.length === 0) continue;
        questions.push({
          text: read.text(question, `${at}[${index}].question`),
          answers: [...new Set(texts)],
          required: [document],
          related,
        });
      }
    }
  }
  return requireQuestions({ documents: store.documents, questions }, place, FORMAT);
}
