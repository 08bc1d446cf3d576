import { EnumType } from "@cliffy/command";
import { makeCodes } from "../../evaluation/right_answers/codes.ts";
import type { AnswerItem, QuestionPlace, Split } from "../../evaluation/right_answers/item.ts";
import type {
  AnswerRow,
  RightAnswers,
  RightAnswersReport,
} from "../../evaluation/right_answers/measure.ts";
import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import { defined } from "../_defined.ts";
import { withModel } from "../_model_command.ts";
import { write } from "../_output.ts";
import {
  type EvalFlags,
  measurementCommand,
  readEvalSettings,
  recordHead,
} from "./_eval_command.ts";
import { readHaystack } from "./_haystack.ts";
import { table } from "../_table.ts";
import { percent, percents } from "./_percent.ts";
import { atLeast } from "./_numbers.ts";

interface RightAnswersFlags extends EvalFlags {
  readonly kind: "facts" | "codes";
  readonly items: number;
  readonly split: Split;
  readonly question: QuestionPlace | "both";
  readonly tokens: number;
  readonly haystack?: string | undefined;
  readonly answerTokens: number;
  readonly perPrompt?: boolean | undefined;
}

/** `kvjudge eval right_answers`: how many answers are right with what is kept. */
export function rightAnswersCommand(version: string) {
  return measurementCommand("snapkv,judge_q")
    .description("Counts right answers, beside those of the whole cache and of the oracle.")
    .type("kind", new EnumType(["facts", "codes"]))
    .type("split", new EnumType(["validation", "test"]))
    .type("place", new EnumType(["end", "front", "both"]))
    .option(
      "--kind <kind:kind>",
      "facts: one fact planted in prose; codes: one of fifteen codes in a row.",
      { default: "facts" as const },
    )
    .option("--items <count:integer>", "Questions.", { default: 50 })
    .option("--split <split:split>", "validation to choose by, test to report.", {
      default: "test" as const,
    })
    .option("--question <place:place>", "Where the question stands: end, front or both.", {
      default: "end" as const,
    })
    .option("--tokens <count:integer>", "Tokens of the prose that a fact is planted in.", {
      default: 800,
    })
    .option("--haystack <file:string>", "Text file of the prose; a story if absent.")
    .option("--answer-tokens <count:integer>", "Most tokens of an answer.", { default: 32 })
    .option("--per-prompt", "Add every answer.", { depends: ["json"] })
    .example("Against SnapKV", "kvjudge eval right_answers --kind codes -p snapkv,judge_q -b 128")
    .action((flags) => run(flags, version));
}

async function run(flags: RightAnswersFlags, version: string): Promise<void> {
  const { kind, items: count, split, question, tokens, answerTokens, seed, chunk } = flags;
  atLeast("--items", count, 1);
  atLeast("--tokens", tokens, 1);
  atLeast("--answer-tokens", answerTokens, 1);
  const settings = await readEvalSettings(flags, answerTokens);
  const haystack = kind === "facts" ? await readHaystack(flags.haystack) : "";
  const { measureRightAnswers } = await import("../../evaluation/right_answers/measure.ts");
  await withModel(flags, async ({ model, progress, signal }) => {
    const report = await measureRightAnswers({
      ...settings,
      ...defined({ chunk }),
      model,
      items: await makeItems(flags, haystack, model.tokenizer),
      places: question === "both" ? ["end", "front"] : [question],
      answerTokens,
      signal,
      onProgress: (done, total) => progress.counting("questions", done, total),
    });
    progress.clear();
    if (!flags.json) {
      write(show(report));
      return;
    }
    const facts = kind === "facts" ? { haystack: flags.haystack ?? "default", tokens } : {};
    const head = await recordHead(version, model, settings, {
      kind,
      items: count,
      split,
      question,
      ...facts,
      answer_tokens: answerTokens,
      seed,
    });
    write(`${JSON.stringify({ ...head, ...record(report, flags.perPrompt ?? false) })}\n`);
  });
}

async function makeItems(
  { kind, items, seed, split, tokens }: RightAnswersFlags,
  haystack: string,
  tokenizer: Tokenizer,
): Promise<readonly AnswerItem[]> {
  if (kind === "codes") return makeCodes({ items, seed, split });
  const { makeFacts } = await import("../../evaluation/right_answers/facts.ts");
  return makeFacts({ items, seed, split, haystack, tokens, tokenizer });
}

function show({ rows, results }: RightAnswersReport): string {
  const counts = rows.map(({ tokens }) => tokens);
  const above = results.filter(({ aboveBudget }) => aboveBudget > 0);
  return [
    `${rows.length} prompts of ${Math.min(...counts)} to ${
      Math.max(...counts)
    } tokens; shares in ` +
    "percent, with 95 % intervals",
    "",
    table([
      ["policy", "budget", "question", "right", "share", "interval", "of full's"],
      ...results.map(({ policy, budget, question, right, total, interval, shareOfFull }) => [
        policy,
        budget ?? "all",
        question,
        `${right}/${total}`,
        percent(right / total),
        percents(interval),
        percent(shareOfFull),
      ]),
    ]),
    ...above.length > 0
      ? [
        "A ratio came to fewer tokens than a policy always keeps: those were kept " +
        `(${above.map(aboveOf).join("; ")}).\n`,
      ]
      : [],
  ].join("\n");
}

/** Which answers are from more than their budget. */
function aboveOf({ policy, budget, question, aboveBudget, total }: RightAnswers): string {
  return `${policy} at ${budget}, question at the ${question}, in ${aboveBudget} of ${total} prompts`;
}

function record({ rows, results }: RightAnswersReport, perPrompt: boolean): object {
  return {
    results: results.map(({ interval, shareOfFull, aboveBudget, ...result }) => ({
      ...result,
      share: result.right / result.total,
      share_interval: interval,
      share_of_full: shareOfFull,
      above_budget: aboveBudget,
    })),
    ...perPrompt ? { per_prompt: rows.map(rowRecord) } : {},
  };
}

function rowRecord({ answers, ...row }: AnswerRow): object {
  return {
    ...row,
    answers: answers.map(({ aboveBudget, ...answer }) => ({
      ...answer,
      above_budget: aboveBudget,
    })),
  };
}
