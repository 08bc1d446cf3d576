import { ValidationError } from "@cliffy/command";
import type { GeneratedTask } from "../../evaluation/benchmarks/benchmark.ts";
import type { QuestionSet } from "../../evaluation/benchmarks/ruler/question_set.ts";
import { suggest } from "../../policies/_suggest.ts";
import { defined } from "../_defined.ts";
import { note } from "../_output.ts";
import { readInput } from "../_read_input.ts";
import { readHaystack } from "./_haystack.ts";
import { inEverySetting, tokenCounter } from "./_plan_generated.ts";
import {
  questionCommand,
  type QuestionFlags,
  questionRecord,
  questionSettings,
  quickened,
  runEval,
  type RunFlags,
  wholeNumbers,
} from "./_run_command.ts";

interface RulerFlags extends RunFlags, QuestionFlags {
  readonly tasks: string;
  readonly lengths: string;
  readonly haystack?: string | undefined;
  readonly squad?: string | undefined;
  readonly hotpotqa?: string | undefined;
  readonly quick?: boolean | undefined;
}

const DEFAULTS = { tasks: "all", lengths: "1024,2048", samples: 20 };

/** A picture in five minutes: retrieval, tracking and a question at one length. */
const QUICK = {
  tasks: "niah_single_1,niah_multikey_1,vt,qa_1",
  lengths: "1024",
  samples: 3,
  policies: "snapkv,judge_q,oracle",
  budgets: "64,256",
};

/** The oracle judges by as many tokens as the shortest answers have. */
const ANSWER_TOKENS = 30;

/** `kvjudge eval ruler`: RULER's thirteen tasks, made at any length. */
export function rulerCommand(version: string) {
  return questionCommand(DEFAULTS.samples)
    .description("RULER: thirteen tasks, made at any length.")
    .option("--tasks <list:string>", "Names of tasks, as in 'niah_single_1,vt', or all.", {
      default: DEFAULTS.tasks,
    })
    .option("--lengths <list:string>", "Tokens of the prompts.", { default: DEFAULTS.lengths })
    .option("--haystack <file:string>", "Text file of the prose around needles; a story if absent.")
    .option("--squad <file:string>", "Questions of qa_1, as SQuAD's JSON; a few of ours if absent.")
    .option(
      "--hotpotqa <file:string>",
      "Questions of qa_2, as HotpotQA's JSON; a few of ours if absent.",
    )
    .option("--quick", "Four tasks, three samples, two budgets: a picture in five minutes.")
    .example("A table", "kvjudge eval ruler --lengths 1024 --samples 10 --out results/ruler")
    .action((flags) => run(flags, version));
}

async function run(given: RulerFlags, version: string): Promise<void> {
  const flags = given.quick ? quickened(given, DEFAULTS, QUICK) : given;
  const lengths = wholeNumbers("--lengths", flags.lengths, 1);
  const haystack = await readHaystack(flags.haystack);
  const tasks = await selectTasks(flags, haystack);
  await runEval(flags, {
    name: "ruler",
    version,
    answerTokens: ANSWER_TOKENS,
    plan: (measurement) => {
      const countTokens = tokenCounter(measurement.model.tokenizer);
      const { samples: count, seed } = flags;
      const groups = tasks.flatMap((task) =>
        lengths.map((tokens) => ({
          task,
          group: `${tokens} tokens`,
          samples: [...task.generate({ tokens, samples: count, seed, countTokens })],
        }))
      );
      return {
        tasks: tasks.map(({ name }) => name),
        samples: inEverySetting(groups, questionSettings(flags), measurement),
        metrics: Object.fromEntries(tasks.map(({ name, metricName }) => [name, metricName])),
        options: {
          ...questionRecord(flags),
          lengths,
          haystack: flags.haystack ?? "default",
          squad: flags.squad ?? "default",
          hotpotqa: flags.hotpotqa ?? "default",
        },
      };
    },
  });
}

async function selectTasks(flags: RulerFlags, haystack: string): Promise<readonly GeneratedTask[]> {
  const { rulerTasks } = await import("../../evaluation/benchmarks/ruler/tasks.ts");
  const { squad, hotpotQa } = await questionSets(flags);
  const all = rulerTasks({ haystack, ...defined({ squad, hotpotQa }) });
  const names = all.map(({ name }) => name);
  const wanted = flags.tasks === "all" ? names : flags.tasks.split(",").map((name) => name.trim());
  const chosen = [...new Set(wanted)].map((name) => {
    const task = all.find((one) => one.name === name);
    if (task) return task;
    throw new ValidationError(
      `Option "--tasks" must name tasks of RULER (${names.join(", ")}), got '${name}'` +
        suggest(name, names),
    );
  });
  const own = [["qa_1", flags.squad], ["qa_2", flags.hotpotqa]] as const;
  for (const [name, file] of own) {
    if (file === undefined && wanted.includes(name)) {
      note(`${name}: kvjudge's own few questions; give RULER's file to compare with others`);
    }
  }
  return chosen;
}

async function questionSets(
  { squad, hotpotqa }: RulerFlags,
): Promise<{ squad: QuestionSet | undefined; hotpotQa: QuestionSet | undefined }> {
  const { readSquad } = await import("../../evaluation/benchmarks/ruler/squad.ts");
  const { readHotpotQa } = await import("../../evaluation/benchmarks/ruler/hotpot_qa.ts");
  return {
    squad: squad === undefined ? undefined : readSquad(await readInput(squad, "questions"), squad),
    hotpotQa: hotpotqa === undefined
      ? undefined
      : readHotpotQa(await readInput(hotpotqa, "questions"), hotpotqa),
  };
}
