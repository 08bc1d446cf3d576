import { expression } from "./_expression.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { describeSource, softTokenLoader } from "./_soft_tokens.ts";
import { innerOption, wrapPolicy } from "./_wrap.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode restoreKv}. */
export const about = {
  name: "restore_kv",
  summary: "Wraps a policy: trained soft tokens read the whole cache and stay for what it drops.",
  paper: "https://arxiv.org/abs/2608.01247",
  options: {
    inner: innerOption,
    softTokens: {
      kind: "soft_tokens",
      about: "safetensors file of trained soft tokens; when absent those that come with the " +
        'project for the model, or else random ones, as with "untrained"',
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode restoreKv}. */
export type RestoreKvOptions = OptionsOf<typeof about>;

/** Soft tokens that the paper trains. */
const COUNT = 8;

/**
 * RestoreKV: what is dropped is not lost altogether. Before it is, a few soft tokens are read once behind the
 * whole cache, with low-rank weights of their own where they were trained with some, and their keys and
 * values stay, in every head of every layer. The inner policy keeps fewer tokens by as many: both together
 * are the budget. The tokens are trained to make answers behind the evicted cache those of the full
 * one (`kvjudge train restore-kv`).
 *
 * The text goes on behind the soft tokens' positions. A later eviction judges their entries like those
 * of tokens, and reads the soft tokens again.
 *
 * No tokens ship. For SmolLM2-135M-Instruct 8 were trained with 44 examples, three visits each: the loss on 10
 * held-out ones fell from 2.37 to 1.97, and at 25 % kept no answer became right that was wrong with SnapKV alone
 * (`kvjudge eval right_answers --items 12 --split validation --seed 11 --tokens 400 --budgets 25% --answer-tokens 24`:
 * codes 0 of 12 with and without, 7 with the whole cache; facts 8 of 12 with and without, 11 with the whole cache).
 *
 * Differs from the paper: it wraps any policy, SnapKV when none is given, where the paper measures five that
 * do not know the question; low-rank weights may be absent. Layers that slide read the soft tokens as
 * they read any token, and let them go with their window.
 *
 * @throws {OptionError} If an option is unknown or out of range. A file that is damaged or was made for
 * another model is refused when a prompt is read, and so is a budget that the soft tokens would fill.
 *
 * @example
 * ```ts
 * import { keyDiff } from "./keydiff.ts";
 * import { restoreKv } from "./restore_kv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { options, evidence } = restoreKv({ inner: keyDiff(), softTokens: "restore.safetensors" });
 * assertEquals(options, { inner: "keydiff", softTokens: "restore.safetensors" });
 * assertEquals(evidence, { kind: "none" });
 * ```
 */
export function restoreKv(options: RestoreKvOptions = {}): ScorerPolicy {
  return wrapPolicy(about, options, (inner, { settings, refuse }) => {
    if (inner.restores) throw refuse("its soft tokens stay already");
    const { softTokens } = settings;
    return {
      options: Object.freeze({
        inner: expression(inner),
        softTokens: describeSource(softTokens),
      }),
      restores: {
        tokens: softTokenLoader(softTokens, {
          policy: about.name,
          adapters: "optional",
          train: "kvjudge train restore-kv",
          count: COUNT,
        }),
      },
    };
  });
}

export default restoreKv;
