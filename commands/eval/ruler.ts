import { planRuler, type RulerFlags } from "./_plan_ruler.ts";
import { questionCommand, quickened, runEval } from "./_run_command.ts";

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

async function run(
  given: RulerFlags & { readonly quick?: boolean | undefined },
  version: string,
): Promise<void> {
  const flags = given.quick ? quickened(given, DEFAULTS, QUICK) : given;
  const plan = await planRuler(flags);
  await runEval(flags, { name: "ruler", version, answerTokens: ANSWER_TOKENS, plan });
}
