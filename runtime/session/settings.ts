import { CACHE_PRECISIONS, type CachePrecision } from "../cache/narrow_rows.ts";
import { type Budget, checkBudget } from "../evict/budget.ts";
import type { Engine } from "../engine/engine.ts";
import type { LayerView, Policy } from "../../policies/policy.ts";
import { PolicyError, PromptError } from "../errors.ts";
import { kindOfGiven } from "../given.ts";
import { checkSessionOptions } from "./given.ts";
import type { SessionOptions } from "./session.ts";

const DEFAULT_BUDGET: Budget = { tokens: 512 };

/** What decides where nothing else does. */
const KEEPS_ALL: Policy = Object.freeze(
  {
    name: "keep_all",
    evidence: { kind: "none" },
    evicts: false,
    select: ({ kvHeads, length }: LayerView) =>
      Array.from({ length: kvHeads }, () => Int32Array.from({ length }, (_, index) => index)),
  } satisfies Policy,
);

/**
 * A session's options with their defaults.
 *
 * @throws {BudgetError} If the budget is out of range.
 * @throws {PromptError} If another option is, or is none.
 */
export function sessionSettings(
  options: SessionOptions,
  engine: Pick<Engine, "chunk" | "home">,
): Required<SessionOptions> {
  checkSessionOptions("open a session", options);
  const { policy = KEEPS_ALL, budget = DEFAULT_BUDGET, chunk = engine.chunk } = options;
  const { beyondContext = "evict", protectSystem = true, cachePrecision = "fp32" } = options;
  checkIsPolicy(policy);
  checkBudget(budget);
  if (!Number.isInteger(chunk) || chunk < 1) {
    throw new PromptError(
      `Cannot read prompts in chunks: 'chunk' must be an integer of at least 1, got ${chunk}`,
      { options: ["chunk"] },
    );
  }
  if (beyondContext !== "evict" && beyondContext !== "refuse") {
    throw new PromptError(
      "Cannot open a session: 'beyondContext' must be 'evict' or 'refuse', got " +
        JSON.stringify(beyondContext),
    );
  }
  checkCachePrecision(cachePrecision, engine);
  return { policy, budget, chunk, beyondContext, protectSystem, cachePrecision };
}

/**
 * Refuses a precision that a cache cannot be held in.
 *
 * @throws {PromptError} If there is none of that name, or caches lie on a device.
 */
export function checkCachePrecision(
  precision: CachePrecision,
  { home }: Pick<Engine, "home">,
): void {
  const listed = CACHE_PRECISIONS.join(", ");
  if (!CACHE_PRECISIONS.includes(precision)) {
    throw new PromptError(
      `Cannot hold the cache in ${
        JSON.stringify(precision)
      }: 'cachePrecision' must be one of ${listed}`,
      { options: ["cachePrecision"] },
    );
  }
  if (precision === "fp32" || home === "host") return;
  throw new PromptError(
    `Cannot hold the cache in ${precision} on a device: caches there have the device's own numbers ` +
      "(16-bit floats where it computes in them); leave 'cachePrecision' out, or set 'device' to cpu",
    { options: ["cachePrecision", "device"] },
  );
}

/** Refuses what cannot be a policy at all; what it answers is checked where it is asked. */
function checkIsPolicy(given: unknown): void {
  const policy: Readonly<Record<string, unknown>> = typeof given === "object" ? { ...given } : {};
  const { name, evidence, score, select } = policy;
  const sound = typeof name === "string" && typeof evidence === "object" && evidence !== null &&
    [score, select].some((one) => typeof one === "function");
  if (sound) return;
  throw new PolicyError(
    `Cannot open a session: 'policy' must be a policy, got ${kindOfGiven(given)}; ` +
      "await createPolicy(name) makes one from its name",
    { options: ["policy"] },
  );
}
