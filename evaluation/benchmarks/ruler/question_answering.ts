import { type GeneratedTask, type GenerationRequest, promptText } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { createDraw } from "../generation/draw.ts";
import {
  createGeneratedTask,
  type DraftAt,
  type Preparation,
} from "../generation/generated_task.ts";
import { stringMatchPart } from "./metrics.ts";
import type { Question, QuestionSet } from "./question_set.ts";

/**
 * A task of RULER's question answering: the documents of a question, others around them.
 *
 * @param name `qa_1` or `qa_2`.
 */
export function questionAnsweringTask(
  name: string,
  summary: string,
  set: QuestionSet,
): GeneratedTask {
  return createGeneratedTask({
    name,
    summary,
    metricName: "string_match_part",
    metric: stringMatchPart,
    maxTokens: 32,
    prepare: (request) => prepare(name, set, request),
  });
}

function prepare(
  name: string,
  { documents, questions }: QuestionSet,
  { tokens, seed, countTokens }: GenerationRequest,
): Preparation {
  const stock = createStock(documents);
  const draftsOf = (question: Question, index: number) =>
    createDrafts(stock, question, tokens, [name, seed, index]);
  // A question whose own documents are too long is passed over.
  const order = createDraw(name, "questions", seed).shuffle(questions);
  const usable: Question[] = [];
  let tried = 0;
  let shortest = Infinity;
  const usableAt = (index: number): Question => {
    for (; usable.length <= index && tried < order.length; tried++) {
      const question = order[tried];
      if (!question) break;
      const size = countTokens(promptText(draftsOf(question, 0)(0), "last"));
      shortest = Math.min(shortest, size);
      // A tenth is left for other documents, so that there is always something to cut.
      if (size <= 0.9 * tokens) usable.push(question);
    }
    const question = usable[index % Math.max(1, usable.length)];
    if (question) return question;
    throw new BenchmarkError(
      `Cannot make prompts of ${name} with ${tokens} tokens: the shortest question takes ` +
        `${shortest} with its documents; ask for at least ${Math.ceil(shortest / 0.9)} tokens`,
    );
  };
  return { min: 0, open: (index) => draftsOf(usableAt(index), index) };
}

/** A sample's drafts; their size is the number of words of documents that are not required. */
function createDrafts(
  { documents, wordsOf }: Stock,
  { text, answers, required, related }: Question,
  tokens: number,
  seeds: readonly (number | string)[],
): DraftAt {
  const own = new Set([...required, ...related]);
  const draw = createDraw(...seeds);
  const others = documents.flatMap((_, at) => own.has(at) ? [] : [at]);
  // No more than there are tokens can ever stand in the prompt.
  const distractors = [...draw.shuffle(related), ...draw.sample(others, tokens)];
  const gold = required.map((at) => documents[at] ?? "");
  return (size) => {
    const all = [...gold, ...takeWords(distractors, wordsOf, size)];
    const order = createDraw("order", ...seeds).shuffle(all.map((_, at) => at));
    const parts = order.map((at, place) => `Document ${place + 1}:\n${all[at] ?? ""}`);
    const places = order.flatMap((at, place) => at < gold.length ? [place] : []);
    const before = parts.slice(0, places[0]).join("\n\n").length;
    const body = parts.join("\n\n");
    return {
      context: `${INSTRUCTION}\n\nThe following are given documents.\n\n${body}\n\n`,
      question: `${INSTRUCTION}\n\nQuestion: ${text}`,
      prefix: " Answer:",
      answers,
      facts: {
        depth: Math.round((100 * before) / body.length),
        documents: all.length,
        needles: gold.length,
      },
    };
  };
}

/** RULER's sentence. */
const INSTRUCTION =
  "Answer the question based on the given documents. Only give me the answer and do " +
  "not output any other words.";

/** Documents, cut into words when they are first needed. */
interface Stock {
  readonly documents: readonly string[];
  wordsOf(document: number): readonly string[];
}

function createStock(documents: readonly string[]): Stock {
  const words = new Map<number, readonly string[]>();
  return {
    documents,
    wordsOf(document) {
      const known = words.get(document);
      if (known) return known;
      // A set whose only documents are the question's own has nothing else to fill up with.
      const cut = documents[document]?.match(/\S+\s*/g) ?? FILLER;
      words.set(document, cut);
      return cut;
    },
  };
}

const FILLER = ["Nothing ", "is ", "told ", "here. "];

/** Documents with so many words in all: the last is cut short, all are repeated if need be. */
function takeWords(
  documents: readonly number[],
  wordsOf: Stock["wordsOf"],
  count: number,
): string[] {
  const taken: string[] = [];
  let left = count;
  for (let at = 0; left > 0; at++) {
    const words = wordsOf(documents[at % documents.length] ?? -1);
    taken.push(words.slice(0, left).join("").trimEnd());
    left -= words.length;
  }
  return taken;
}
