import { ValidationError } from "@cliffy/command";
import type { BenchmarkSample } from "../../evaluation/benchmarks/benchmark.ts";
import type { LongBenchFile } from "../../evaluation/benchmarks/longbench/find_files.ts";
import type { LongBenchTask } from "../../evaluation/benchmarks/longbench/longbench.ts";
import type { RunSample } from "../../evaluation/run/benchmark_run.ts";
import { type QuestionSetting, settingName } from "../../evaluation/run/run_prompt.ts";
import { suggest } from "../../policies/_suggest.ts";
import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import { note } from "../_output.ts";
import { inEverySetting, type SampleGroup } from "./_plan_generated.ts";
import {
  questionCommand,
  type QuestionFlags,
  questionRecord,
  questionSettings,
  runEval,
} from "./_run_command.ts";
import type { RunFlags } from "./_run_plan.ts";
import { atLeast } from "./_numbers.ts";

interface LongBenchFlags extends RunFlags, QuestionFlags {
  readonly data: string;
  readonly tasks: string;
  readonly promptTokens?: number | undefined;
  readonly evenLengths?: boolean | undefined;
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
      "--prompt-tokens <count:integer>",
      "Tokens of a prompt, beyond which its middle is left out; as many as fit if absent.",
    )
    .option("--even-lengths", "LongBench-E: 13 tasks, the same number of samples of each length.")
    .example("A table", "kvjudge eval longbench --data LongBench/data --out results/longbench")
    .action((flags) => run(flags, version));
}

async function run(flags: LongBenchFlags, version: string): Promise<void> {
  const { promptTokens, samples: count, data, evenLengths = false } = flags;
  atLeast("--prompt-tokens", promptTokens, 2);
  const { findLongBenchFiles } = await import(
    "../../evaluation/benchmarks/longbench/find_files.ts"
  );
  const { readLongBenchFile } = await import("../../evaluation/benchmarks/longbench/read_file.ts");
  const files = selectFiles(flags, await findLongBenchFiles(data, { evenLengths }));
  const settings = questionSettings(flags);
  const asked = files.filter(({ task }) => settings.some((setting) => canAsk(task, setting)));
  noteLeftOut(files, settings);
  await runEval(flags, {
    name: "longbench",
    version,
    answerTokens: ANSWER_TOKENS,
    async plan(model) {
      const { tokenizer, config: { context } } = model;
      const room = context - templateTokens(tokenizer);
      const samples: RunSample[] = [];
      const hashes: Record<string, readonly string[]> = {};
      // One file after the other: a whole LongBench takes hundreds of megabytes.
      for (const { task, paths } of asked) {
        const max = room - task.maxTokens;
        const read = await readLongBenchFile({ task, paths }, {
          tokens: Math.min(max, promptTokens ?? max),
          tokenizer,
          ...(evenLengths ? {} : { samples: count }),
        });
        const groups = evenLengths ? byLength(task, read.samples, count) : [
          { task, group: "", samples: read.samples },
        ];
        const possible = settings.filter((setting) => canAsk(task, setting));
        samples.push(...await inEverySetting(groups, possible, model));
        hashes[task.name] = read.hashes;
      }
      return {
        tasks: asked.map(({ task }) => task.name),
        samples,
        metrics: Object.fromEntries(asked.map(({ task }) => [task.name, task.metricName])),
        options: {
          ...questionRecord(flags),
          prompt_tokens: promptTokens ?? null,
          even_lengths: evenLengths,
          files: hashes,
        },
      };
    },
  });
}

/** Whether a task can be asked so. */
function canAsk(
  { hasQuestion, questionFirst }: LongBenchTask,
  { order, visible }: QuestionSetting,
): boolean {
  if (order === "first") return questionFirst;
  return visible || hasQuestion;
}

function noteLeftOut(
  files: readonly LongBenchFile[],
  settings: readonly QuestionSetting[],
): void {
  for (const setting of settings) {
    const left = files.filter(({ task }) => !canAsk(task, setting)).map(({ task }) => task.name);
    if (left.length === files.length) {
      throw new ValidationError(
        `No task among ${left.join(", ")} can be asked with the ${settingName(setting)}: their ` +
          "prompts have no question apart from the text; give other tasks, or --question last.",
      );
    }
    if (left.length > 0) {
      note(
        `${settingName(setting)}: without ${
          left.join(", ")
        }, which ask nothing apart from the text`,
      );
    }
  }
}

/** LongBench-E's groups of lengths, the same number of samples of each. */
function byLength(
  task: LongBenchTask,
  samples: readonly BenchmarkSample[],
  count: number,
): readonly SampleGroup[] {
  const groups = Map.groupBy(samples, ({ facts }) => `${facts.bucket}`);
  return ["0-4k", "4-8k", "8k+"].map((group) => ({
    task,
    group,
    samples: (groups.get(group) ?? []).slice(0, count),
  }));
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
