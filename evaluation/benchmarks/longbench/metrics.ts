import { cut } from "npm:jieba-wasm@2.4.0";
import type { BenchmarkSample } from "../benchmark.ts";
import { rougeL } from "./rouge_l.ts";
import { similarity } from "./similarity.ts";

/** Judges an output against one of the answers, from 0 to 1. */
export type AnswerMetric = (output: string, answer: string, sample: BenchmarkSample) => number;

/** LongBench's metrics by the names that reports use. */
export const LONGBENCH_METRICS = {
  qa_f1: (output, answer) => f1(englishWords(output), englishWords(answer)),
  qa_f1_zh: (output, answer) => f1(chineseWords(output), chineseWords(answer)),
  rouge_l: (output, answer) => rougeL(output, answer),
  rouge_l_zh: (output, answer) => rougeL(segmented(output), segmented(answer)),
  classification: (output, answer, { classes = [] }) => classification(output, answer, classes),
  retrieval: (output, answer) => shareOf(output, /Paragraph (\d+)/.exec(answer)?.[1]),
  retrieval_zh: (output, answer) => shareOf(output, /段落(\d+)/.exec(answer)?.[1]),
  count: (output, answer) => shareOf(output, answer),
  code_similarity: (output, answer) => similarity(firstLineOfCode(output), answer),
} as const satisfies Readonly<Record<string, AnswerMetric>>;

/** Name of one of LongBench's metrics. */
export type LongBenchMetric = keyof typeof LONGBENCH_METRICS;

/** ASCII punctuation. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;

/** What is punctuation in Chinese texts, ASCII's too. */
const CHINESE_PUNCTUATION =
  /[!-/:-@[-`{-~！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏]/g;

function englishWords(text: string): readonly string[] {
  return text.toLowerCase().replace(PUNCTUATION, "").replace(/\b(a|an|the)\b/g, " ")
    .split(/\s+/).filter(Boolean);
}

function chineseWords(text: string): readonly string[] {
  return cut(text, true)
    .map((word) => word.toLowerCase().replace(CHINESE_PUNCTUATION, "").replace(/\s+/g, ""))
    .filter(Boolean);
}

function segmented(text: string): string {
  return cut(text, true).join(" ");
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
  const named = classes.filter((one) => output.includes(one))
    .filter((one) => one === answer || !answer.includes(one));
  return named.includes(answer) ? 1 / named.length : 0;
}

/** How many of the output's numbers are the expected one. */
function shareOf(output: string, expected: string | undefined): number {
  const numbers = output.match(/\d+/g) ?? [];
  return numbers.length === 0
    ? 0
    : numbers.filter((number) => number === expected).length / numbers.length;
}

/** The first line that is neither a comment nor a fence. */
function firstLineOfCode(output: string): string {
  const lines = output.replace(/^\n+/, "").split("\n");
  return lines.find((line) => !/`|#|\/\//.test(line)) ?? "";
}
