import { PromptError } from "../../runtime/errors.ts";
import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import { type Fact, FACT_TEMPLATES } from "./fact_templates.ts";
import {
  type AnswerItem,
  createDraw,
  type Draw,
  type Frames,
  isRight,
  type Split,
} from "./item.ts";

/** How {@linkcode makeFacts} makes its items. */
export interface FactsOptions {
  readonly items: number;
  readonly seed: number;
  readonly split: Split;
  /** Prose that the facts are planted in. Each split has a half of it for its own. */
  readonly haystack: string;
  /** Tokens of a document, about. */
  readonly tokens: number;
  readonly tokenizer: Pick<Tokenizer, "encode">;
}

// Without an instruction a small model rather goes on with the story than answers.
const FRAMES: Frames = {
  end: (document, question) => `${document}\n\nAnswer the question in one sentence. ${question}`,
  front: (document, question) => `${question} Find the answer in this text:\n\n${document}`,
};

/**
 * Single facts, each planted between two sentences of prose, at any depth.
 *
 * @throws {PromptError} If there is not enough prose.
 */
export function makeFacts(options: FactsOptions): readonly AnswerItem[] {
  const { items, seed, split, tokens, tokenizer } = options;
  const sentences = sentencesOf(half(options.haystack, split));
  const sizes = sentences.map((text) => tokenizer.encode(text, { bos: false }).length);
  const lastStart = findLastStart(sizes, tokens);
  if (lastStart < 0) {
    const total = sizes.reduce((sum, size) => sum + size, 0);
    throw new PromptError(
      `Cannot plant facts in ${tokens} tokens of prose: the haystack has ${total} for the ${split} ` +
        "split, which is a half of it; give a longer one or fewer tokens",
    );
  }
  const templates = FACT_TEMPLATES[split];
  return Array.from({ length: items }, (_, index) => {
    const draw = createDraw(seed, split, index);
    const start = draw.integer(0, lastStart);
    const length = countSentences(sizes, start, tokens);
    const excerpt = sentences.slice(start, start + length);
    const template = templates[index % templates.length] ?? templates[0];
    const fact = freshFact(() => template(draw), excerpt.join(""));
    const { document, depth } = plant(excerpt, fact, draw);
    const { question, answer } = fact;
    const id = `facts-${split}-${index}-at-${depth.toFixed(2)}`;
    return { id, document, question, frames: FRAMES, expected: answer };
  });
}

const TRIES = 100;

/** A fact whose answer the prose does not hold already. */
function freshFact(make: () => Fact, prose: string): Fact {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const fact = make();
    if (!isRight(prose, fact.answer)) return fact;
  }
  throw new PromptError(
    "Cannot plant a fact: the prose holds every answer that was drawn; give another haystack",
  );
}

function plant(
  sentences: readonly string[],
  { statement }: Fact,
  draw: Draw,
): { readonly document: string; readonly depth: number } {
  const at = draw.integer(0, sentences.length);
  const before = sentences.slice(0, at).join("");
  const gap = before === "" || /\s$/.test(before) ? "" : " ";
  const document = `${before}${gap}${statement} ${sentences.slice(at).join("")}`.trim();
  return { document, depth: at / sentences.length };
}

/** The first half for tests, the second for validation, cut at a paragraph. */
function half(text: string, split: Split): string {
  const paragraphs = text.split(/\r?\n[ \t]*\r?\n\s*/).map((one) => one.trim()).filter(Boolean);
  const total = paragraphs.reduce((sum, { length }) => sum + length, 0);
  let sum = 0;
  const middle = paragraphs.findIndex(({ length }) => (sum += length) >= total / 2) + 1;
  const own = split === "test" ? paragraphs.slice(0, middle) : paragraphs.slice(middle);
  return own.map((paragraph) => paragraph.replace(/\s+/g, " ")).join("\n\n");
}

function sentencesOf(text: string): readonly string[] {
  const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

/** The last sentence from which there is enough prose; -1 if there is none. */
function findLastStart(sizes: readonly number[], tokens: number): number {
  let sum = 0;
  return sizes.findLastIndex((size) => (sum += size) >= tokens);
}

/** Sentences whose tokens come closest to the number that is wanted. */
function countSentences(sizes: readonly number[], start: number, tokens: number): number {
  let sum = 0;
  let count = 0;
  for (const size of sizes.slice(start)) {
    if (sum + size / 2 > tokens) break;
    sum += size;
    count++;
  }
  return count;
}
