import { choice, number, type PolicyAbout, readOptions } from "./_options.ts";
import { type Pooling, poolingOptions } from "./_pool.ts";
import { pyramid } from "./_pyramid.ts";
import { windowOption, windowScore } from "./_window_judge.ts";
import type { ScorerPolicy } from "./policy.ts";

const PAPER = "https://arxiv.org/abs/2406.02069";

/** Options of {@linkcode pyramidKv}. */
export interface PyramidKvOptions {
  /**
   * Last prompt tokens: their queries judge the others, and they are always kept.
   *
   * @default {32}
   */
  readonly window?: number;
  /**
   * Tokens that are pooled together, odd.
   *
   * @default {7}
   */
  readonly kernel?: number;
  /**
   * How they are pooled.
   *
   * @default {"max"}
   */
  readonly pooling?: Pooling;
  /**
   * How steep the pyramid is: the last layer gets the average divided by this.
   *
   * @default {20}
   */
  readonly beta?: number;
  /**
   * Whether the window comes on top of what is divided among the layers (`"authors"`) or out of it
   * (`"kvpress"`).
   *
   * @default {"authors"}
   */
  readonly variant?: "authors" | "kvpress";
}

/** What the registry says about {@linkcode pyramidKv}. */
export const about: PolicyAbout<PyramidKvOptions> = {
  name: "pyramidkv",
  summary: "Judges as SnapKV does; early layers keep more tokens than late ones.",
  paper: PAPER,
  options: {
    window: windowOption,
    ...poolingOptions(7, "max"),
    beta: number({
      min: 1,
      default: 20,
      about: "how steep: the last layer gets the average divided by this",
    }),
    variant: choice({
      words: ["authors", "kvpress"],
      default: "authors",
      about: "whether the window comes on top of what is divided, or out of it",
    }),
  },
};

/**
 * PyramidKV: the score is SnapKV's; the budget falls linearly from the first layer to the last, the
 * average over the layers being the budget.
 *
 * Paper: https://arxiv.org/abs/2406.02069. The defaults are its authors' settings.
 *
 * Differs from the paper: shares are rounded so that the layers' sum is exactly the budget times the
 * layers, where the authors' code rounds each one down; query heads that share a KV head vote
 * together.
 *
 * @throws {OptionError} If an option is unknown or out of range.
 *
 * @example
 * ```ts
 * import { pyramidKv } from "./pyramidkv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { allocate } = pyramidKv({ window: 8, beta: 5 });
 * assertEquals(await allocate?.({ layers: 3, length: 200, budget: 28 }), [44, 28, 12]);
 * ```
 */
export function pyramidKv(options: PyramidKvOptions = {}): ScorerPolicy {
  const settings = readOptions(about, options);
  return Object.freeze<ScorerPolicy>({
    name: about.name,
    paper: PAPER,
    options: settings,
    evidence: { kind: "window", size: settings.window },
    allocate: pyramid(settings),
    protect: { recent: settings.window },
    score: windowScore(settings),
  });
}

export default pyramidKv;
