import { wrappedPolicies } from "../../policies/_entry.ts";
import { registry } from "../../policies/registry.ts";
import { note } from "../_output.ts";
import { planRuler, type RulerFlags } from "./_plan_ruler.ts";
import { runCommand, runEval } from "./_run_command.ts";

/** The oracle judges by as many tokens as the shortest answers have. */
const ANSWER_TOKENS = 30;

/** Every policy of the registry, where none are named. */
const ALL = "all";

/** The question stands last, and is asked both ways. */
const QUESTION = { question: "last", visibleQuestion: "both" } as const;

/** `kvjudge eval leaderboard`: all policies on RULER, a quarter to seven eighths removed. */
export function leaderboardCommand(version: string) {
  return runCommand(10, ALL, "0.75,0.5,0.25,0.125")
    .description(
      "All policies on RULER with 25, 50, 75 and 87.5 % removed, the question unseen and seen: " +
        "one reading of each prompt serves all.",
    )
    .option("--tasks <list:string>", "Names of RULER's tasks, or all.", { default: ALL })
    .option("--lengths <list:string>", "Tokens of the prompts.", { default: "4096" })
    .option("--haystack <file:string>", "Text file of the prose around needles; a story if absent.")
    .option("--squad <file:string>", "Questions of qa_1, as SQuAD's JSON; a few of ours if absent.")
    .option(
      "--hotpotqa <file:string>",
      "Questions of qa_2, as HotpotQA's JSON; a few of ours if absent.",
    )
    .example(
      "A short one",
      "kvjudge eval leaderboard --lengths 1024 --samples 1 --tasks niah_single_1 -p snapkv,kvzip",
    )
    .action((flags) => run({ ...flags, ...QUESTION }, version));
}

async function run(given: RulerFlags, version: string): Promise<void> {
  const flags = given.policies === ALL ? { ...given, policies: await everyPolicy() } : given;
  const { leaderboardText, writeLeaderboard } = await import(
    "../../evaluation/report/leaderboard.ts"
  );
  await runEval(flags, {
    name: "leaderboard",
    version,
    answerTokens: ANSWER_TOKENS,
    plan: await planRuler(flags),
    show: leaderboardText,
  });
  if (flags.out === undefined) return;
  note(`written: ${(await writeLeaderboard(flags.out)).join(", ")}`);
}

/** All that evict after a prompt; what wraps one to evict at another time keeps what it keeps. */
async function everyPolicy(): Promise<string> {
  const names: string[] = [];
  for (const entry of Object.values(registry)) {
    const { default: create } = await entry.load();
    const { evicts, phases } = await create();
    if (evicts === false || (phases !== undefined && wrappedPolicies(entry) > 0)) continue;
    names.push(entry.name);
  }
  return names.join(",");
}
