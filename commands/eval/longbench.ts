import { ValidationError } from "@cliffy/command";
import type { LongBenchFile } from "../../evaluation/benchmarks/longbench/read_file.ts";
import { suggest } from "../../policies/_suggest.ts";
import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import { note } from "../_output.ts";
import { atLeast } from "./_eval_command.ts";
import { inEverySetting } from "./_plan_generated.ts";
import {
  questionCommand,
  type QuestionFlags,
  questionRecord,
  questionSettings,
  runEval,
  type RunFlags,
} from "./_run_command.ts";

interface LongBenchFlags extends RunFlags, QuestionFlags {
  readonly data: string;
  readonly tasks: string;
  readonly maxTokens?: number | undefined;
}

/** The oracle judges by as many tokens as the shortest answers have. */
const ANSWER_TOKENS = 32;

/** `kvjudge eval longbench`: the 21 tasks of LongBench v1, from its own files. */
export function longBenchCommand(version: string) {
  return questionCommand(20)
    .description("LongBench v1: 21 tasks, from its own files.")
    .option("--data <path:string>", "Folder with LongBench's files, JSONL or Parquet, or one.", {
      required: true,
    })
    .option("--tasks <list:string>", "Names of tasks, as in 'qasper,hotpotqa', or all there are.", {
      default: "all",
    })
    .option(
      "--max-tokens <count:integer>",
      "Tokens of a prompt, beyond which its middle is left out; as many as fit if absent.",
    )
    .example("A table", "kvjudge eval longbench --data LongBench/data --out results/longbench")
    .action((flags) => run(flags, version));
}

async function run(flags: LongBenchFlags, version: string): Promise<void> {
  const { maxTokens, samples: count, data } = flags;
  atLeast("--max-tokens", maxTokens, 2);
  const { findLongBenchFiles, readLongBenchFile } = await import(
    "../../evaluation/benchmarks/longbench/read_file.ts"
  );
  const files = selectFiles(flags, await findLongBenchFiles(data));
  const settings = questionSettings(flags);
  await runEval(flags, {
    name: "longbench",
    version,
    answerTokens: ANSWER_TOKENS,
    async plan(model) {
      const { tokenizer, config: { context } } = model;
      const room = context - templateTokens(tokenizer);
      const groups = await Promise.all(files.map(async (file) => {
        const most = room - file.task.maxTokens;
        const tokens = Math.min(most, maxTokens ?? most);
        const samples = await readLongBenchFile(file, { tokens, tokenizer, samples: count });
        return { task: file.task, group: "", samples };
      }));
      const inFront = groups.filter(({ task }) => task.questionFirst);
      const asked = settings.flatMap((setting) =>
        inEverySetting(setting.order === "first" ? inFront : groups, [setting], model)
      );
      if (inFront.length < groups.length && flags.question !== "last") {
        const left = groups.filter(({ task }) => !task.questionFirst).map(({ task }) => task.name);
        note(
          `not asked with the question first, since it goes on with the text: ${left.join(", ")}`,
        );
      }
      return {
        tasks: groups.map(({ task }) => task.name),
        samples: asked,
        metrics: Object.fromEntries(groups.map(({ task }) => [task.name, task.metricName])),
        options: { ...questionRecord(flags), max_tokens: maxTokens ?? null },
      };
    },
  });
}

/** Tokens of the chat template around a prompt. */
function templateTokens(tokenizer: Tokenizer): number {
  if (!tokenizer.hasChatTemplate) return 1;
  // The text and its neighbours may merge otherwise than alone: a few more are left for that.
  return tokenizer.encodeChat([{ role: "user", content: "." }]).length + 8;
}

function selectFiles(
  { tasks }: LongBenchFlags,
  files: readonly LongBenchFile[],
): readonly LongBenchFile[] {
  if (tasks === "all") return files;
  const names = files.map(({ task }) => task.name);
  return [...new Set(tasks.split(",").map((name) => name.trim()))].map((name) => {
    const file = files.find(({ task }) => task.name === name);
    if (file) return file;
    throw new ValidationError(
      `Option "--tasks" must name tasks whose files are there (${
        names.join(", ")
      }), got '${name}'` +
        suggest(name, names),
    );
  });
}
