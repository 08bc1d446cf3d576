import type { RunSummary } from "../../evaluation/run/summary_record.ts";
import { planRuler, type RulerFlags } from "./_plan_ruler.ts";
import { questionCommand, runEval } from "./_run_command.ts";
import { table } from "../_table.ts";
import { percent } from "./_percent.ts";

const ORACLE = "oracle";
const BASELINE = "snapkv";

/** The oracle judges by as many tokens as the shortest answers have. */
const ANSWER_TOKENS = 30;

/** `kvjudge eval upper_bound`: how much of what the answer's own queries would win is won. */
export function upperBoundCommand(version: string) {
  return questionCommand(10, `${BASELINE},judge_q,${ORACLE}`)
    .description(
      "Judge Q's table 1: policies beside eviction by the queries of the answer itself, on RULER.",
    )
    .option("--tasks <list:string>", "Names of RULER's tasks, or all.", {
      default: "niah_single_1,niah_single_2,niah_multikey_1,niah_multivalue,niah_multiquery",
    })
    .option("--lengths <list:string>", "Tokens of the prompts.", { default: "1024" })
    .option("--haystack <file:string>", "Text file of the prose around needles; a story if absent.")
    .example("A table", "kvjudge eval upper_bound --budgets 64,128 --out results/upper_bound")
    .action((flags) => run({ ...flags, squad: undefined, hotpotqa: undefined }, version));
}

async function run(given: RulerFlags, version: string): Promise<void> {
  const flags = { ...given, policies: withBounds(given.policies) };
  await runEval(flags, {
    name: "upper_bound",
    version,
    answerTokens: ANSWER_TOKENS,
    plan: await planRuler(flags),
    show: showBounds,
  });
}

/** The baseline and the bound are always there. */
function withBounds(policies: string): string {
  const named = policies.split(",").map((name) => name.trim());
  const missing = [BASELINE, ORACLE].filter((name) => !named.includes(name));
  return [policies, ...missing].join(",");
}

/** Means over all samples, and the share of the way from the baseline to the bound. */
function showBounds({ rows }: RunSummary): string {
  const variants = [...new Set(rows.map(({ variant }) => variant))];
  const mean = (variant: string, policy: string, budget: string | null) => {
    const scores = rows
      .filter((row) => row.variant === variant && row.policy === policy && row.budget === budget)
      .flatMap((row) => Object.values(row.scores));
    return scores.length === 0 ? null : scores.reduce((sum, one) => sum + one, 0) / scores.length;
  };
  const kinds = Map.groupBy(
    rows.filter(({ budget }) => budget !== null),
    ({ policy, budget }) => JSON.stringify([policy, budget]),
  );
  const lines = variants.flatMap((variant) => [
    [variant, "full", "all", percent(mean(variant, "full", null)), ""],
    ...[...kinds.values()].map(([first]) => {
      const { policy, budget } = first ?? { policy: "", budget: "" };
      const [score, low, high] = [policy, BASELINE, ORACLE]
        .map((name) => mean(variant, name, budget));
      const gap = (high ?? 0) - (low ?? 0);
      const share = score === null || score === undefined || gap <= 0
        ? null
        : (score - (low ?? 0)) / gap;
      const closed = policy === BASELINE || policy === ORACLE ? "" : percent(share);
      return [variant, policy, budget ?? "all", percent(score ?? null), closed];
    }),
  ]);
  return table([["variant", "policy", "budget", "score", `of ${BASELINE} to ${ORACLE}`], ...lines]);
}
