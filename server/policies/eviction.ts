import type * as v from "npm:valibot@1.5.0";
import { checkBudget, parseBudget, type UniformBudget } from "../../runtime/evict/budget.ts";
import { InvalidRequestError } from "../http/request_error.ts";
import type { EvictionSettings } from "../scheduler/request.ts";
import type { BUDGET, EVICTION } from "../schemas/eviction.ts";
import type { PolicyPermit } from "./permit.ts";

/** What a request says of eviction. */
export type EvictionField = v.InferOutput<typeof EVICTION>;

/** What a server evicts by where a request says nothing. */
export interface EvictionDefaults {
  /** `false`: nothing is evicted. */
  readonly policy: string | false;
  readonly budget: UniformBudget;
}

/**
 * The eviction of a request: its own words, and the server's where it has none.
 *
 * @throws {InvalidRequestError} If the policy is not permitted, or none is given.
 * @throws {OptionError} If the policy's expression is broken.
 * @throws {BudgetError} If the budget is out of range.
 */
export function evictionOf(
  field: EvictionField | null | undefined,
  defaults: EvictionDefaults,
  permit: PolicyPermit,
): EvictionSettings | false {
  if (field === false) return false;
  if (field === null || field === undefined) {
    return defaults.policy === false ? false : { policy: defaults.policy, budget: defaults.budget };
  }
  const { policy = defaults.policy, budget, protect, ...phases } = withoutNulls(field);
  if (policy === false) {
    throw new InvalidRequestError(
      "Cannot evict without a policy: give eviction.policy, such as snapkv, or eviction: false",
      { param: "eviction.policy", code: "missing_policy" },
    );
  }
  // What the server itself names was permitted by whoever started it.
  if (policy !== defaults.policy) permit(policy);
  return {
    policy: wrapped(wrapped(policy, "while_reading", phases), "while_decoding", phases),
    budget: budget === undefined ? defaults.budget : budgetOf(budget),
    ...(protect === undefined ? {} : {
      protect: typeof protect === "boolean" ? protect : protect.map(([from, to]) => ({ from, to })),
    }),
  };
}

type GivenField = Exclude<EvictionField, false>;

function withoutNulls(
  { policy, budget, protect, while_reading, while_decoding }: GivenField,
) {
  return {
    policy: policy ?? undefined,
    budget: budget ?? undefined,
    protect: protect ?? undefined,
    while_reading: while_reading ?? undefined,
    while_decoding: while_decoding ?? undefined,
  };
}

/** A budget as requests write it. */
export function budgetOf(budget: v.InferOutput<typeof BUDGET>): UniformBudget {
  if (typeof budget === "string") return parseBudget(budget);
  checkBudget(budget);
  return budget;
}

type Wrapper = "while_reading" | "while_decoding";

/** A policy in a wrapper, where the request has a field of the wrapper's name. */
function wrapped(
  policy: string,
  wrapper: Wrapper,
  given: Readonly<
    Partial<Record<Wrapper, boolean | Readonly<Record<string, unknown>> | undefined>>
  >,
): string {
  const options = given[wrapper];
  if (options === undefined || options === false) return policy;
  const listed = options === true ? [] : Object.entries(options).map(([name, value]) => {
    if (/^\w+$/.test(name) && ["number", "boolean"].includes(typeof value)) {
      return `,${name}=${value}`;
    }
    throw new InvalidRequestError(
      `Invalid request: options of eviction.${wrapper} must be numbers, true or false`,
      { param: `eviction.${wrapper}`, code: "invalid_value" },
    );
  });
  return `${wrapper}(${policy}${listed.join("")})`;
}
