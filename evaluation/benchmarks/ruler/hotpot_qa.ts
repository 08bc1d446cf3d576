import {
  createDocumentStore,
  createShapeReader,
  parseJson,
  type QuestionSet,
  requireQuestions,
  type ShapeReader,
} from "./question_set.ts";

const FORMAT = "HotpotQA";

/**
 * Reads questions from a file of HotpotQA (`hotpot_dev_distractor_v1.json` and the like). The
 * documents that the supporting facts name are required, the others of a question related; without
 * supporting facts all are required.
 *
 * @param place Where the text comes from, for errors.
 * @throws {BenchmarkError} If the text is not in HotpotQA's format, or has no question.
 *
 * @example
 * ```ts
 * import { readHotpotQa } from "./hotpot_qa.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const context = [["The sky", ["The sky is blue.", " It is high."]]];
 * const text = JSON.stringify([{ question: "What is high?", answer: "The sky", context }]);
 * const { documents } = readHotpotQa(text, "a text");
 * assertEquals(documents, ["The sky\nThe sky is blue. It is high."]);
 * ```
 */
export function readHotpotQa(text: string, place: string): QuestionSet {
  return parseHotpotQa(parseJson(text, place, FORMAT), place);
}

/** As {@linkcode readHotpotQa}, from what the JSON stands for. */
export function parseHotpotQa(value: unknown, place: string): QuestionSet {
  const read = createShapeReader(place, FORMAT);
  const store = createDocumentStore();
  const questions = read.array(value, "the file").map((entry, index) => {
    const { question, answer, context, supporting_facts: facts } = read.object(entry, `[${index}]`);
    const titles = facts === undefined || facts === null
      ? undefined
      : supportingTitles(read, facts, `[${index}].supporting_facts`);
    const documents = read.array(context, `[${index}].context`).map((pair, number) => {
      const at = `[${index}].context[${number}]`;
      const [title, sentences] = read.array(pair, at);
      const lines = read.array(sentences, `${at}[1]`)
        .map((sentence, line) => readSentence(read, sentence, `${at}[1][${line}]`));
      const name = read.text(title, `${at}[0]`);
      return { name, number: store.add(`${name}\n${lines.join("")}`) };
    });
    const needed = documents.filter(({ name }) => titles?.has(name) ?? true);
    const required = [...new Set((needed.length > 0 ? needed : documents).map(numberOf))];
    return {
      text: read.text(question, `[${index}].question`),
      answers: [read.text(answer, `[${index}].answer`)],
      required,
      related: [...new Set(documents.map(numberOf))].filter((one) => !required.includes(one)),
    };
  }).filter(({ required }) => required.length > 0);
  return requireQuestions({ documents: store.documents, questions }, place, FORMAT);
}

function numberOf({ number }: { readonly number: number }): number {
  return number;
}

/** The published files have empty sentences. */
function readSentence(read: ShapeReader, sentence: unknown, at: string): string {
  return sentence === "" ? "" : read.text(sentence, at);
}

function supportingTitles(read: ShapeReader, facts: unknown, at: string): ReadonlySet<string> {
  return new Set(
    read.array(facts, at).map((fact, index) =>
      read.text(read.array(fact, `${at}[${index}]`)[0], `${at}[${index}][0]`)
    ),
  );
}
