import type { GeneratedTask } from "../benchmark.ts";
import { createProse } from "../generation/prose.ts";
import { commonWordsTask } from "./common_words.ts";
import { frequentWordsTask } from "./frequent_words.ts";
import { parseHotpotQa } from "./hotpot_qa.ts";
import { needleTasks } from "./needles.ts";
import hotpotQaData from "./own_hotpot_qa.json" with { type: "json" };
import squadData from "./own_squad.json" with { type: "json" };
import { questionAnsweringTask } from "./question_answering.ts";
import type { QuestionSet } from "./question_set.ts";
import { parseSquad } from "./squad.ts";
import { variableTrackingTask } from "./variable_tracking.ts";
import { demandObject, demandText } from "../../../runtime/given.ts";

/** What {@linkcode rulerTasks} takes. */
export interface RulerOptions {
  /** Prose that needles are hidden in: RULER takes essays. It is repeated as often as needed. */
  readonly haystack: string;
  /** Questions of `qa_1`: see {@linkcode readSquad}. A small set of our own if absent. */
  readonly squad?: QuestionSet;
  /** Questions of `qa_2`: see {@linkcode readHotpotQa}. A small set of our own if absent. */
  readonly hotpotQa?: QuestionSet;
}

/**
 * RULER's thirteen tasks, in its order, to be made at any length.
 *
 * @throws {BenchmarkError} If the haystack has no words.
 *
 * @example
 * ```ts
 * import { rulerTasks } from "./tasks.ts";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const [task] = rulerTasks({ haystack: "It was a dark and stormy night." });
 * const countTokens = (text: string) => text.split(/\s+/).filter(Boolean).length;
 * const [sample] = [...task?.generate({ tokens: 500, samples: 1, seed: 1, countTokens }) ?? []];
 * assertEquals(sample?.task, "niah_single_1");
 * assert(sample?.answers.every((answer) => sample.context.includes(` is: ${answer}.`)));
 * ```
 */
export function rulerTasks(options: RulerOptions): readonly GeneratedTask[] {
  demandObject("make RULER's tasks", "their options", options);
  const { haystack, squad, hotpotQa } = options;
  demandText("make RULER's tasks", "'haystack'", haystack);
  return [
    ...needleTasks(createProse(haystack)),
    variableTrackingTask(),
    commonWordsTask(),
    frequentWordsTask(),
    questionAnsweringTask(
      "qa_1",
      "Answer a question from one of many paragraphs.",
      squad ?? parseSquad(squadData, "kvjudge's own questions"),
    ),
    questionAnsweringTask(
      "qa_2",
      "Answer a question from two of many paragraphs.",
      hotpotQa ?? parseHotpotQa(hotpotQaData, "kvjudge's own questions"),
    ),
  ];
}
