import type { NamedBudget } from "../../evaluation/measurement.ts";
import { type NamedPolicy, parsePolicies } from "../../evaluation/policy_list.ts";
import { parseBudget } from "../../runtime/evict/budget.ts";
import { BudgetError } from "../../runtime/errors.ts";
import type { Model } from "../../runtime/model.ts";
import { note } from "../_output.ts";
import { evictingCommand, type ModelFlags } from "../_model_command.ts";
import { atLeast } from "./_numbers.ts";

/** What the user said about the measurement. */
export interface EvalFlags extends ModelFlags {
  readonly policies: string;
  readonly trust?: boolean | undefined;
  readonly reload?: boolean | undefined;
  readonly budgets: string;
  readonly seed: number;
  readonly chunk?: number | undefined;
  readonly json?: boolean | undefined;
}

/**
 * A command with the flags that every measurement has. The types of the flags are inferred, so the
 * return type is too.
 *
 * @param policies Policies that are measured where none are named.
 * @param budgets Budgets where none are given.
 */
export function measurementCommand(policies: string, budgets = "64,128,256") {
  return evictingCommand()
    .option(
      "-p, --policies <list:string>",
      "Names, files and URLs, as in 'random,snapkv(window=32),./mine.ts'.",
      {
        default: policies,
      },
    )
    .option(
      "-b, --budgets <list:string>",
      "What is kept: tokens (256), ratios (0.1), bytes (8MiB).",
      {
        default: budgets,
      },
    )
    .option("--seed <seed:integer>", "Seed of everything that is drawn.", { default: 0 })
    .option("--json", "Print one JSON object.");
}

/** Policies and budgets of a measurement. */
export interface EvalSettings {
  readonly policies: readonly NamedPolicy[];
  readonly budgets: readonly NamedBudget[];
}

/**
 * Reads policies and budgets, before any model is loaded for them.
 *
 * @param answerTokens Tokens of the answer that the oracle judges by unless its options say otherwise: those of
 * the reference.
 * @throws {OptionError} If a policy does not exist or refuses an option.
 * @throws {BudgetError} If a budget is out of range or given twice.
 */
export async function readEvalSettings(
  { policies, trust = false, reload = false, budgets, chunk }: EvalFlags,
  answerTokens: number,
): Promise<EvalSettings> {
  atLeast("--chunk", chunk, 1);
  return {
    policies: await parsePolicies(policies, {
      trust,
      reload,
      defaults: { oracle: { tokens: answerTokens } },
      onPrint: (line) => note(`policy: ${line}`),
    }),
    budgets: readBudgets(budgets),
  };
}

function readBudgets(list: string): readonly NamedBudget[] {
  const labels = list.split(",").map((text) => text.trim());
  const twice = labels.find((label, at) => labels.indexOf(label) < at);
  if (twice !== undefined) {
    throw new BudgetError(`Cannot use budget '${twice}' twice in one list: leave one of them out`);
  }
  return labels.map((label) => ({ label, budget: parseBudget(label) }));
}

/** Where a model ran, if not on the processor. */
export function deviceOf({ device: { provider } }: Model): { readonly device?: string } {
  return provider === "cpu" ? {} : { device: provider };
}

/** What every record begins with. */
export async function recordHead(
  version: string,
  model: Model,
  { policies }: EvalSettings,
  settings: object,
): Promise<object> {
  return {
    model: model.name,
    fingerprint: await model.fingerprint(),
    precision: model.precision,
    ...deviceOf(model),
    versions: { kvjudge: version, deno: Deno.version.deno },
    settings,
    policies: policies.map(({ label, policy }) => ({
      policy: label,
      name: policy.name,
      options: policy.options ?? {},
    })),
  };
}
