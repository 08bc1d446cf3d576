import type { MaybePromise } from "./maybe_promise.ts";
import type { ModelFacts, SoftTokens } from "./soft_tokens.ts";

/**
 * Soft tokens that make up for what is dropped: before it is, they are read once behind everything that is
 * held, and their own keys and values stay. They are no tokens of the text, and count towards the budget.
 */
export interface Restoring {
  /** The tokens for a model. */
  readonly tokens: (model: ModelFacts) => MaybePromise<SoftTokens>;
}
