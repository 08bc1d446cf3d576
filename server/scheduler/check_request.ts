import { checkBudget } from "../../runtime/evict/budget.ts";
import { ConstraintError, PromptError } from "../../runtime/errors.ts";
import type { Constraint } from "../../runtime/sampling/constraint.ts";
import { pause } from "../../runtime/engine/pause.ts";
import { checkGenerateOptions } from "../../runtime/session/generate.ts";
import { ContextOverflowError, GrammarError } from "./errors.ts";
import type { LoadedModel } from "./model_pool.ts";
import type { EvictionSettings, GenerationRequest } from "./request.ts";

/** All that can be wrong with a request by itself. */
export function checkRequest(
  request: GenerationRequest,
  ids: readonly number[],
  context: number,
): void {
  if (ids.length >= context) {
    throw new ContextOverflowError(
      `The prompt has ${ids.length} tokens, the model's context is ${context} and the answer needs ` +
        "at least one: give a shorter prompt",
      ids.length,
      context,
    );
  }
  checkGenerateOptions(request.sampling);
  if (request.eviction) checkBudget(request.eviction.budget);
  if (typeof request.eviction === "object") checkSpans(request.eviction.protect, ids.length);
}

function checkSpans(protect: EvictionSettings["protect"], tokens: number): void {
  if (typeof protect !== "object") return;
  const wrong = protect.find(({ from, to }) => from >= to || to > tokens || from < 0);
  if (!wrong) return;
  throw new PromptError(
    `Cannot protect tokens ${wrong.from} to ${wrong.to}: the prompt has tokens 0 to ${tokens}`,
  );
}

/**
 * What the answers of a request may be. It is found in slices: answers of others are written meanwhile.
 */
export async function constraintOf(
  { grammar }: GenerationRequest,
  { model }: LoadedModel,
): Promise<Constraint | undefined> {
  if (!grammar) return undefined;
  try {
    return await model.prepareConstraint(grammar, pause);
  } catch (error) {
    if (error instanceof ConstraintError) throw new GrammarError(error.message, { cause: error });
    throw error;
  }
}
