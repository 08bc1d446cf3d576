import type { LongBenchMetric } from "./metrics.ts";

/** One task as LongBench describes it. */
export interface LongBenchPlan {
  readonly name: string;
  readonly summary: string;
  readonly metric: LongBenchMetric;
  readonly language: "en" | "zh" | "code";
  /** Most tokens of the output. */
  readonly maxTokens: number;
  /** What stands before the context. */
  readonly before: string;
  /** What stands behind it, with `{input}` where the question goes. */
  readonly after: string;
  /** What asks for the answer, at the very end of the user's turn. */
  readonly cue: string;
  /**
   * Whether the question can stand before the context; not where it goes on with it, nor where all
   * that is asked stands in front anyway.
   */
  readonly question: "apart" | "continues" | "none";
  /** Whether it is read as it stands, not in a chat: examples and code come first. */
  readonly plain?: true;
  /** Whether only the output's first line counts. */
  readonly firstLine?: true;
}

/** A question that takes several passages: three tasks ask it in the same words. */
const PASSAGES = {
  metric: "qa_f1",
  language: "en",
  maxTokens: 32,
  before:
    "Answer the question based on the given passages. Only give me the answer and do not output any other words.\n\nThe following are given passages.\n",
  after:
    "\n\nAnswer the question based on the given passages. Only give me the answer and do not output any other words.\n\nQuestion: {input}",
  cue: "\nAnswer:",
  question: "apart",
} as const;

/** A question that stands behind examples of its kind, in their form. */
const AFTER_EXAMPLES = {
  cue: "",
  question: "continues",
  plain: true,
  firstLine: true,
} as const;

/** LongBench's prompts and lengths: see README.md for their origin. */
export const LONGBENCH_PLANS: readonly LongBenchPlan[] = [
  {
    name: "narrativeqa",
    summary: "Answer a question about a story.",
    metric: "qa_f1",
    language: "en",
    maxTokens: 128,
    before:
      "You are given a story, which can be either a novel or a movie script, and a question. Answer the question asconcisely as you can, using a single phrase if possible. Do not provide any explanation.\n\nStory: ",
    after:
      "\n\nNow, answer the question based on the story asconcisely as you can, using a single phrase if possible. Do not provide any explanation.\n\nQuestion: {input}",
    cue: "\n\nAnswer:",
    question: "apart",
  },
  {
    name: "qasper",
    summary: "Answer a question about a scientific article.",
    metric: "qa_f1",
    language: "en",
    maxTokens: 128,
    before:
      'You are given a scientific article and a question. Answer the question as concisely as you can, using a single phrase or sentence if possible. If the question cannot be answered based on the information in the article, write "unanswerable". If the question is a yes/no question, answer "yes", "no", or "unanswerable". Do not provide any explanation.\n\nArticle: ',
    after:
      '\n\n Answer the question based on the above article as concisely as you can, using a single phrase or sentence if possible. If the question cannot be answered based on the information in the article, write "unanswerable". If the question is a yes/no question, answer "yes", "no", or "unanswerable". Do not provide any explanation.\n\nQuestion: {input}',
    cue: "\n\nAnswer:",
    question: "apart",
  },
  {
    name: "multifieldqa_en",
    summary: "Answer a question about a long article.",
    metric: "qa_f1",
    language: "en",
    maxTokens: 64,
    before: "Read the following text and answer briefly.\n\n",
    after:
      "\n\nNow, answer the following question based on the above text, only give me the answer and do not output any other words.\n\nQuestion: {input}",
    cue: "\nAnswer:",
    question: "apart",
  },
  {
    name: "multifieldqa_zh",
    summary: "Answer a question about a long article, in Chinese.",
    metric: "qa_f1_zh",
    language: "zh",
    maxTokens: 64,
    before: "阅读以下文字并用中文简短回答：\n\n",
    after:
      "\n\n现在请基于上面的文章回答下面的问题，只告诉我答案，不要输出任何其他字词。\n\n问题：{input}",
    cue: "\n回答：",
    question: "apart",
  },
  {
    name: "hotpotqa",
    summary: "Answer a question from several passages.",
    ...PASSAGES,
  },
  {
    name: "2wikimqa",
    summary: "Answer a question from several passages of Wikipedia.",
    ...PASSAGES,
  },
  {
    name: "musique",
    summary: "Answer a question from several passages, in several steps.",
    ...PASSAGES,
  },
  {
    name: "dureader",
    summary: "Answer a question from several documents, in Chinese.",
    metric: "rouge_l_zh",
    language: "zh",
    maxTokens: 128,
    before: "请基于给定的文章回答下述问题。\n\n文章：",
    after: "\n\n请基于上述文章回答下面的问题。\n\n问题：{input}",
    cue: "\n回答：",
    question: "apart",
  },
  {
    name: "gov_report",
    summary: "Summarise a report.",
    metric: "rouge_l",
    language: "en",
    maxTokens: 512,
    before:
      "You are given a report by a government agency. Write a one-page summary of the report.\n\nReport:\n",
    after: "\n\nNow, write a one-page summary of the report.",
    cue: "\n\nSummary:",
    question: "apart",
  },
  {
    name: "qmsum",
    summary: "Answer a query about a meeting.",
    metric: "rouge_l",
    language: "en",
    maxTokens: 512,
    before:
      "You are given a meeting transcript and a query containing a question or instruction. Answer the query in one or more sentences.\n\nTranscript:\n",
    after:
      "\n\nNow, answer the query based on the above meeting transcript in one or more sentences.\n\nQuery: {input}",
    cue: "\nAnswer:",
    question: "apart",
  },
  {
    name: "multi_news",
    summary: "Summarise several news articles.",
    metric: "rouge_l",
    language: "en",
    maxTokens: 512,
    before:
      "You are given several news passages. Write a one-page summary of all news. \n\nNews:\n",
    after: "\n\nNow, write a one-page summary of all the news.",
    cue: "\n\nSummary:",
    question: "apart",
  },
  {
    name: "vcsum",
    summary: "Summarise a meeting, in Chinese.",
    metric: "rouge_l_zh",
    language: "zh",
    maxTokens: 512,
    before: "下面有一段会议记录，请你阅读后，写一段总结，总结会议的内容。\n会议记录：\n",
    after: "",
    cue: "\n\n会议总结：",
    question: "none",
  },
  {
    name: "trec",
    summary: "Sort a question into a class, after examples.",
    metric: "classification",
    language: "en",
    maxTokens: 64,
    before:
      "Please determine the type of the question below. Here are some examples of questions.\n\n",
    after: "\n{input}",
    ...AFTER_EXAMPLES,
  },
  {
    name: "triviaqa",
    summary: "Answer a question about a passage, after examples.",
    metric: "qa_f1",
    language: "en",
    maxTokens: 32,
    before:
      "Answer the question based on the given passage. Only give me the answer and do not output any other words. The following are some examples.\n\n",
    after: "\n\n{input}",
    ...AFTER_EXAMPLES,
  },
  {
    name: "samsum",
    summary: "Summarise a dialogue, after examples.",
    metric: "rouge_l",
    language: "en",
    maxTokens: 128,
    before:
      "Summarize the dialogue into a few short sentences. The following are some examples.\n\n",
    after: "\n\n{input}",
    ...AFTER_EXAMPLES,
  },
  {
    name: "lsht",
    summary: "Sort a news article into a class, after examples, in Chinese.",
    metric: "classification",
    language: "zh",
    maxTokens: 64,
    before: "请判断给定新闻的类别，下面是一些例子。\n\n",
    after: "\n{input}",
    ...AFTER_EXAMPLES,
  },
  {
    name: "passage_count",
    summary: "Count the different paragraphs.",
    metric: "count",
    language: "en",
    maxTokens: 32,
    before:
      "There are some paragraphs below sourced from Wikipedia. Some of them may be duplicates. Please carefully read these paragraphs and determine how many unique paragraphs there are after removing duplicates. In other words, how many non-repeating paragraphs are there in total?\n\n",
    after:
      "\n\nPlease enter the final count of unique paragraphs after removing duplicates. The output format should only contain the number, such as 1, 2, 3, and so on.",
    cue: "\n\nThe final answer is: ",
    question: "apart",
  },
  {
    name: "passage_retrieval_en",
    summary: "Find the paragraph of an abstract.",
    metric: "retrieval",
    language: "en",
    maxTokens: 32,
    before:
      "Here are 30 paragraphs from Wikipedia, along with an abstract. Please determine which paragraph the abstract is from.\n\n",
    after:
      '\n\nThe following is an abstract.\n\n{input}\n\nPlease enter the number of the paragraph that the abstract is from. The answer format must be like "Paragraph 1", "Paragraph 2", etc.',
    cue: "\n\nThe answer is: ",
    question: "apart",
  },
  {
    name: "passage_retrieval_zh",
    summary: "Find the paragraph of an abstract, in Chinese.",
    metric: "retrieval_zh",
    language: "zh",
    maxTokens: 32,
    before: "以下是若干段落文字，以及其中一个段落的摘要。请确定给定的摘要出自哪一段。\n\n",
    after:
      '\n\n下面是一个摘要\n\n{input}\n\n请输入摘要所属段落的编号。答案格式必须是"段落1"，"段落2"等格式',
    cue: "\n\n答案是：",
    question: "apart",
  },
  {
    name: "lcc",
    summary: "Go on with a file of code.",
    metric: "code_similarity",
    language: "code",
    maxTokens: 64,
    before: "Please complete the code given below. \n",
    after: "",
    cue: "Next line of code:\n",
    question: "none",
    plain: true,
  },
  {
    name: "repobench-p",
    summary: "Go on with a file of code that uses others.",
    metric: "code_similarity",
    language: "code",
    maxTokens: 64,
    before: "Please complete the code given below. \n",
    after: "{input}",
    cue: "Next line of code:\n",
    question: "continues",
    plain: true,
  },
];
