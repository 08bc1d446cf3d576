import * as v from "npm:valibot@1.5.0";
import { FILLED_TEXT } from "../../../runtime/schema.ts";
import { readBenchmarkJson, readBenchmarkRecord } from "../json_lines.ts";
import { createDocumentStore, type QuestionSet, requireQuestions } from "./question_set.ts";

const FORMAT = "HotpotQA";

const HOTPOT_QA = v.array(v.object({
  question: FILLED_TEXT,
  answer: FILLED_TEXT,
  /** Titles and sentences; the published files have empty sentences. */
  context: v.array(v.tuple([FILLED_TEXT, v.array(v.string())])),
  supporting_facts: v.nullish(v.array(v.tuple([FILLED_TEXT]))),
}));

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
  return questionsOf(readBenchmarkJson(HOTPOT_QA, text, place, FORMAT), place);
}

/** As {@linkcode readHotpotQa}, from what the JSON stands for. */
export function parseHotpotQa(value: unknown, place: string): QuestionSet {
  return questionsOf(readBenchmarkRecord(HOTPOT_QA, value, place, FORMAT), place);
}

function questionsOf(entries: v.InferOutput<typeof HOTPOT_QA>, place: string): QuestionSet {
  const store = createDocumentStore();
  const questions = entries.map(({ question, answer, context, supporting_facts: facts }) => {
    const titles = facts && new Set(facts.map(([title]) => title));
    const documents = context.map(([title, sentences]) => ({
      title,
      number: store.add(`${title}\n${sentences.join("")}`),
    }));
    const needed = documents.filter(({ title }) => titles?.has(title) ?? true);
    const required = [...new Set((needed.length > 0 ? needed : documents).map(numberOf))];
    return {
      text: question,
      answers: [answer],
      required,
      related: [...new Set(documents.map(numberOf))].filter((one) => !required.includes(one)),
    };
  }).filter(({ required }) => required.length > 0);
  return requireQuestions({ documents: store.documents, questions }, place, FORMAT);
}

function numberOf({ number }: { readonly number: number }): number {
  return number;
}
