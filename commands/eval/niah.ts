import { ValidationError } from "@cliffy/command";
import { readHaystack } from "./_haystack.ts";
import { generatedGroups, inEverySetting } from "./_plan_generated.ts";
import {
  questionCommand,
  type QuestionFlags,
  questionRecord,
  questionSettings,
  quickened,
  runEval,
} from "./_run_command.ts";
import type { RunFlags } from "./_run_plan.ts";
import { wholeNumbers } from "./_numbers.ts";

interface NiahFlags extends RunFlags, QuestionFlags {
  readonly lengths: string;
  readonly depths: string;
  readonly haystack?: string | undefined;
  readonly needle?: string | undefined;
  readonly needleQuestion?: string | undefined;
  readonly needleAnswers?: string | undefined;
  readonly quick?: boolean | undefined;
}

const DEFAULTS = {
  lengths: "1024,2048,4096",
  depths: "0,10,20,30,40,50,60,70,80,90,100",
  samples: 1,
};

/** A picture in five minutes. */
const QUICK = {
  lengths: "512,1024",
  depths: "0,25,50,75,100",
  policies: "snapkv,judge_q",
  budgets: "64,256",
};

const ANSWER_TOKENS = 32;

/** `kvjudge eval niah`: one sentence in prose, at every depth of every length. */
export function niahCommand(version: string) {
  return questionCommand(DEFAULTS.samples)
    .description("The needle test: one sentence in prose, at every depth of every length.")
    .option("--lengths <list:string>", "Tokens of the prompts.", { default: DEFAULTS.lengths })
    .option("--depths <list:string>", "Per cent of the prose before the needle.", {
      default: DEFAULTS.depths,
    })
    .option("--haystack <file:string>", "Text file of the prose; a story if absent.")
    .option("--needle <sentence:string>", "The sentence to find; that of the original if absent.")
    .option("--needle-question <question:string>", "What is asked.", { depends: ["needle"] })
    .option("--needle-answers <list:string>", "What a right answer holds, separated by '|'.", {
      depends: ["needle"],
    })
    .option("--quick", "Two lengths, five depths, two budgets: a picture in five minutes.")
    .example(
      "A map",
      "kvjudge eval niah --policies snapkv,judge_q --budgets 128 --out results/niah",
    )
    .action((flags) => run(flags, version));
}

async function run(given: NiahFlags, version: string): Promise<void> {
  const flags = given.quick ? quickened(given, DEFAULTS, QUICK) : given;
  const lengths = wholeNumbers("--lengths", flags.lengths, 1);
  const depths = wholeNumbers("--depths", flags.depths, 0);
  const haystack = await readHaystack(flags.haystack);
  const needle = needleOf(flags);
  const { niahTask } = await import("../../evaluation/benchmarks/niah/niah.ts");
  const task = niahTask({ haystack, depths, ...(needle ? { needle } : {}) });
  await runEval(flags, {
    name: "niah",
    version,
    answerTokens: ANSWER_TOKENS,
    plan: async (model) => {
      const size = { lengths, samples: flags.samples * depths.length, seed: flags.seed };
      const groups = generatedGroups([task], size, model);
      return {
        tasks: [task.name],
        samples: await inEverySetting(groups, questionSettings(flags), model),
        metrics: { [task.name]: task.metricName },
        options: {
          ...questionRecord(flags),
          lengths,
          depths,
          needle: needle ?? "default",
          haystack: flags.haystack ?? "default",
        },
      };
    },
  });
}

function needleOf({ needle, needleQuestion, needleAnswers }: NiahFlags) {
  if (needle === undefined) return undefined;
  if (needleQuestion === undefined || needleAnswers === undefined) {
    throw new ValidationError(
      'Option "--needle" needs "--needle-question" and "--needle-answers".',
    );
  }
  const answers = needleAnswers.split("|").map((answer) => answer.trim());
  return { text: needle, question: needleQuestion, answers };
}
