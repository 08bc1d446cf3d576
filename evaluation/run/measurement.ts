import type { Model } from "../../runtime/model.ts";
import type { NamedBudget } from "../hit_rate.ts";
import type { NamedPolicy } from "../policy_list.ts";

/** What samples are measured with. */
export interface SampleMeasurement {
  /** The model. */
  readonly model: Pick<Model, "engine" | "tokenizer" | "facts" | "config">;
  /** Policies; the whole cache is always measured too. */
  readonly policies: readonly NamedPolicy[];
  /** How much policies keep. */
  readonly budgets: readonly NamedBudget[];
  /** Prompt tokens read at a time. @default {256} */
  readonly chunk?: number;
  /** Ends it early. */
  readonly signal?: AbortSignal;
  /** Milliseconds, to measure phases with. */
  readonly now: () => number;
}
