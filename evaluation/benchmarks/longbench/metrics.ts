import type { BenchmarkSample } from "../benchmark.ts";
import type { WordSegmenter } from "./chinese_words.ts";
import { rougeL } from "./rouge_l.ts";
import { similarity } from "./similarity.ts";

/** Judges an output against one of the answers, from 0 to 1. */
export type AnswerMetric = (output: string, answer: string, sample: BenchmarkSample) => number;

/** Name of one of LongBench's metrics, as reports use it. */
export type LongBenchMetric =
  | "qa_f1"
  | "qa_f1_zh"
  | "rouge_l"
  | "rouge_l_zh"
  | "classification"
  | "retrieval"
  | "retrieval_zh"
  | "count"
  | "code_similarity";

/** How the answers of the retrieval tasks name a paragraph. */
export const PARAGRAPHS = {
  retrieval: /Paragraph (\p{Nd}+)/u,
  retrieval_zh: /段落(\p{Nd}+)/u,
} as const;

/**
 * LongBench's metrics.
 *
 * @param chineseWords Cuts Chinese, which has no spaces between words.
 */
export function longBenchMetrics(
  chineseWords: WordSegmenter,
): Readonly<Record<LongBenchMetric, AnswerMetric>> {
  const bareWords = (text: string) => chineseWords(text).map(bareWord).filter(Boolean);
  const spaced = (text: string) => chineseWords(text).join(" ");
  return {
    qa_f1: (output, answer) => f1(englishWords(output), englishWords(answer)),
    qa_f1_zh: (output, answer) => f1(bareWords(output), bareWords(answer)),
    rouge_l: (output, answer) => rougeL(output, answer),
    rouge_l_zh: (output, answer) => rougeL(spaced(output), spaced(answer)),
    classification: (output, answer, { classes = [] }) => classification(output, answer, classes),
    retrieval: (output, answer) => shareOf(output, PARAGRAPHS.retrieval.exec(answer)?.[1]),
    retrieval_zh: (output, answer) => shareOf(output, PARAGRAPHS.retrieval_zh.exec(answer)?.[1]),
    count: (output, answer) => shareOf(output, answer),
    code_similarity: (output, answer) => similarity(firstLineOfCode(output), answer),
  };
}

/** ASCII punctuation. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;

/** Articles as whole words, also beside letters with accents. */
const ARTICLES = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** What is punctuation in Chinese texts, ASCII's too. */
const CHINESE_PUNCTUATION =
  /[!-/:-@[-`{-~！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏]/g;

function englishWords(text: string): readonly string[] {
  return text.toLowerCase().replace(PUNCTUATION, "").replace(ARTICLES, " ")
    .split(/\s+/).filter(Boolean);
}

function bareWord(word: string): string {
  return word.toLowerCase().replace(CHINESE_PUNCTUATION, "").replace(/\s+/g, "");
}

/** F1 over words, each as often as it stands. */
function f1(output: readonly string[], answer: readonly string[]): number {
  const left = new Map<string, number>();
  for (const word of answer) left.set(word, (left.get(word) ?? 0) + 1);
  let same = 0;
  for (const word of output) {
    const count = left.get(word) ?? 0;
    if (count > 0) {
      same++;
      left.set(word, count - 1);
    }
  }
  return same === 0 ? 0 : 2 * same / (output.length + answer.length);
}

/** The answer's share of the classes that the output names; those that it is made of do not count. */
function classification(output: string, answer: string, classes: readonly string[]): number {
  const named = classes.filter((one) => output.includes(one));
  // As in LongBench, the class behind one that is struck out is passed over.
  for (let at = 0; at < named.length; at++) {
    const one = named[at] ?? "";
    if (one !== answer && answer.includes(one)) named.splice(at, 1);
  }
  return named.includes(answer) ? 1 / named.length : 0;
}

/** How many of the output's numbers are the expected one. */
function shareOf(output: string, expected: string | undefined): number {
  const numbers = output.match(/\p{Nd}+/gu) ?? [];
  return numbers.length === 0
    ? 0
    : numbers.filter((number) => number === expected).length / numbers.length;
}

/** The first line that is neither a comment nor a fence. */
function firstLineOfCode(output: string): string {
  const lines = output.replace(/^\n+/, "").split("\n");
  return lines.find((line) => !/`|#|\/\//.test(line)) ?? "";
}
