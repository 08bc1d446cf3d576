import { loadPolicy } from "../plugins/load_policy.ts";
import type { Policy } from "../policies/policy.ts";
import type { CachePrecision } from "../runtime/cache/narrow_rows.ts";
import { parseBudget, type UniformBudget } from "../runtime/evict/budget.ts";
import { PromptError } from "../runtime/errors.ts";
import { defined } from "./_defined.ts";
import { note } from "./_output.ts";
import { parseJson } from "./_read_input.ts";

/** What the user said about eviction. */
export interface EvictionFlags {
  readonly policy: string;
  readonly options?: string | undefined;
  readonly trust?: boolean | undefined;
  readonly reload?: boolean | undefined;
  readonly budget: string;
  readonly chunk?: number | undefined;
  readonly cachePrecision?: CachePrecision | undefined;
}

/** Options of a session, read from the flags. */
export interface EvictionSettings {
  readonly policy: Policy;
  readonly budget: UniformBudget;
  readonly chunk?: number;
  readonly cachePrecision?: CachePrecision;
}

/**
 * Reads policy, options and budget, before any model is loaded for them.
 *
 * @throws {OptionError} If there is no such policy or it refuses an option.
 * @throws {PolicyError} If a plugin cannot be loaded.
 * @throws {BudgetError} If the budget is out of range.
 * @throws {PromptError} If the options are not a JSON object.
 */
export async function readSettings(flags: EvictionFlags): Promise<EvictionSettings> {
  const { budget, chunk, cachePrecision } = flags;
  return {
    policy: await readPolicy(flags),
    budget: parseBudget(budget),
    ...defined({ chunk, cachePrecision }),
  };
}

/**
 * Loads a policy by name, path, URL or expression. One that runs in a sandbox prints to standard
 * error, and ends with this process.
 *
 * @throws {OptionError} If there is no such policy or it refuses an option.
 * @throws {PolicyError} If a plugin cannot be loaded.
 * @throws {PromptError} If the options are not a JSON object.
 */
export async function readPolicy(
  { policy: source, options, trust = false, reload = false }: Omit<
    EvictionFlags,
    "budget" | "chunk" | "cachePrecision"
  >,
): Promise<Policy> {
  const { policy } = await loadPolicy(source, {
    ...(options === undefined ? {} : { options: readOptions(options) }),
    trust,
    reload,
    onPrint: (line) => note(`policy: ${line}`),
  });
  return policy;
}

function readOptions(text: string): object {
  const what = `--options must be a JSON object such as '{"window": 16}'`;
  const options = parseJson(text, what);
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new PromptError(`${what}, got ${text}`);
  }
  return options;
}
