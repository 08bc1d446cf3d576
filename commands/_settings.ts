import { createPolicy } from "../policies/create.ts";
import type { Policy } from "../policies/policy.ts";
import { parseBudget, type UniformBudget } from "../runtime/budget.ts";
import { PromptError } from "../runtime/errors.ts";
import { parseJson } from "./_read_input.ts";

/** What the user said about eviction. */
export interface EvictionFlags {
  readonly policy: string;
  readonly options?: string | undefined;
  readonly budget: string;
  readonly chunk?: number | undefined;
}

/** Options of a session, read from the flags. */
export interface EvictionSettings {
  readonly policy: Policy;
  readonly budget: UniformBudget;
  readonly chunk?: number;
}

/**
 * Reads policy, options and budget, before any model is loaded for them.
 *
 * @throws {OptionError} If there is no such policy or it refuses an option.
 * @throws {BudgetError} If the budget is out of range.
 * @throws {PromptError} If the options are not a JSON object.
 */
export async function readSettings(flags: EvictionFlags): Promise<EvictionSettings> {
  const { budget, chunk } = flags;
  return {
    policy: await createPolicy(flags.policy, readOptions(flags.options)),
    budget: parseBudget(budget),
    ...(chunk === undefined ? {} : { chunk }),
  };
}

function readOptions(text: string | undefined): object {
  if (text === undefined) return {};
  const what = `--options must be a JSON object such as '{"window": 16}'`;
  const options = parseJson(text, what);
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new PromptError(`${what}, got ${text}`);
  }
  return options;
}
