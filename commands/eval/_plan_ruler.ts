import { ValidationError } from "@cliffy/command";
import type { GeneratedTask } from "../../evaluation/benchmarks/benchmark.ts";
import type { QuestionSet } from "../../evaluation/benchmarks/ruler/question_set.ts";
import { suggest } from "../../policies/_suggest.ts";
import { defined } from "../_defined.ts";
import { note } from "../_output.ts";
import { readInput } from "../_read_input.ts";
import { readHaystack } from "./_haystack.ts";
import { generatedGroups, inEverySetting } from "./_plan_generated.ts";
import { type QuestionFlags, questionRecord, questionSettings } from "./_run_command.ts";
import type { RunFlags, RunPlan } from "./_run_plan.ts";
import { wholeNumbers } from "./_numbers.ts";

/** What the user said about RULER. */
export interface RulerFlags extends RunFlags, QuestionFlags {
  readonly tasks: string;
  readonly lengths: string;
  readonly haystack?: string | undefined;
  readonly squad?: string | undefined;
  readonly hotpotqa?: string | undefined;
}

/** Reads all that RULER's samples are made of, before any model is loaded for them. */
export async function planRuler(flags: RulerFlags): Promise<RunPlan["plan"]> {
  const { sha256 } = await import("../../evaluation/run/sha256.ts");
  const lengths = wholeNumbers("--lengths", flags.lengths, 1);
  const haystack = await readHaystack(flags.haystack);
  const tasks = await selectTasks(flags, haystack);
  const text = await sha256(haystack);
  return async (model) => {
    const groups = generatedGroups(tasks, { ...flags, lengths }, model);
    return {
      tasks: tasks.map(({ name }) => name),
      samples: await inEverySetting(groups, questionSettings(flags), model),
      metrics: Object.fromEntries(tasks.map(({ name, metricName }) => [name, metricName])),
      options: {
        ...questionRecord(flags),
        lengths,
        haystack: text,
        squad: flags.squad ?? "default",
        hotpotqa: flags.hotpotqa ?? "default",
      },
    };
  };
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
