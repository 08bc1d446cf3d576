import { type Budget, checkBudget } from "../evict/budget.ts";
import type { Engine } from "../engine/engine.ts";
import { PromptError } from "../errors.ts";
import type { SessionOptions } from "./session.ts";

const DEFAULT_BUDGET: Budget = { tokens: 512 };

/**
 * A session's options with their defaults.
 *
 * @throws {BudgetError} If the budget is out of range.
 * @throws {PromptError} If the chunk size is.
 */
export function sessionSettings(
  options: SessionOptions,
  engine: Pick<Engine, "chunk">,
): Required<SessionOptions> {
  const { policy, budget = DEFAULT_BUDGET, chunk = engine.chunk } = options;
  const { beyondContext = "evict", protectSystem = true } = options;
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
  return { policy, budget, chunk, beyondContext, protectSystem };
}
