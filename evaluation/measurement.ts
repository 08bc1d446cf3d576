import type { UniformBudget } from "../runtime/evict/budget.ts";
import type { Model } from "../runtime/model.ts";
import type { NamedPolicy } from "./policy_list.ts";

/** A budget, and what it is called in results. */
export interface NamedBudget {
  /** What it is called in results. */
  readonly label: string;
  /** The budget. */
  readonly budget: UniformBudget;
}

/** What policies are measured with. */
export interface Measurement {
  /** The model. */
  readonly model: Pick<Model, "engine" | "tokenizer" | "facts" | "config">;
  /** Those that are measured. */
  readonly policies: readonly NamedPolicy[];
  /** How much policies keep. */
  readonly budgets: readonly NamedBudget[];
  /** Prompt tokens read at a time. @default {as of a session} */
  readonly chunk?: number;
  /** Ends it early. */
  readonly signal?: AbortSignal;
}
