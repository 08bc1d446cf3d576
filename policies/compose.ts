import { expression } from "./_expression.ts";
import { makePolicy } from "./_make.ts";
import { oncePerModel } from "./_model_file.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { evenHeadsOf } from "./_wrap.ts";
import { policyMembers } from "./contract/members.ts";
import { OptionError, type ScorerPolicy, withKernel } from "./policy.ts";
import { snapKv } from "./snapkv.ts";
import { streamingLlm } from "./streaming_llm.ts";

/** What the registry says about {@linkcode compose}. */
export const about = {
  name: "compose",
  summary: "Wraps two policies: the second one evicts from what the first one left.",
  options: {
    inner: { kind: "policy", about: "the policy that evicts first; streaming_llm when absent" },
    second: {
      kind: "policy",
      about: "the policy that evicts from what is left; snapkv when absent",
    },
    factor: {
      kind: "number",
      min: 1,
      default: 2,
      about: "what the first one leaves, as a multiple of the budget",
    },
    tokens: {
      kind: "integer",
      min: 1,
      about: "tokens per KV head that the first one leaves; factor times the budget when absent",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode compose}. */
export type ComposeOptions = OptionsOf<typeof about>;

/**
 * Two policies in a row: the first one evicts to a budget of its own, the second one from what is left
 * to the budget. A token stays only if both want it.
 *
 * Both judge by evidence of the whole prompt, gathered in the same reading, so that the first round
 * costs no second one; the second one is shown the tokens that are left alone. What the first one
 * always keeps is only sure to stay in the first round.
 *
 * On a command line the two stand side by side: `compose(streaming_llm(sinks=4),snapkv,factor=4)`.
 *
 * A baseline. Differs from running one policy after the other on a cache that was evicted: attention
 * is that of the whole prompt, evicted tokens took their share of it.
 *
 * @throws {OptionError} If an option is unknown or out of range, `factor` and `tokens` are both given,
 * one of them rerotates keys, or evicts while decoding or reading, which only the whole may do, or the second one
 * is made of two itself.
 *
 * @example
 * ```ts
 * import { compose } from "./compose.ts";
 * import { knorm } from "./knorm.ts";
 * import { tova } from "./tova.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { first, evidence } = compose({ inner: knorm(), second: tova(), factor: 4 });
 * assertEquals([first?.policy.name, first?.factor, evidence], ["knorm", 4, tova().evidence]);
 * ```
 */
export function compose(options: ComposeOptions = {}): ScorerPolicy {
  return makePolicy(about, options, (settings) => {
    const { inner = streamingLlm(), second = snapKv(), factor, tokens } = settings;
    if (options.factor !== undefined && tokens !== undefined) {
      throw new OptionError(
        "Cannot make policy 'compose': give 'factor' or 'tokens', not both: each says what the " +
          "first policy leaves",
      );
    }
    checkRound(inner);
    checkRound(second);
    if (second.first) {
      throw refuse(
        second,
        "it is made of two policies; they go in first place, as in compose(compose(a,b),c)",
      );
    }
    const { name: _name, paper: _paper, forModel: _forModel, ...members } = policyMembers(second);
    const { note: _note, evenHeads: _own, ...shared } = members;
    const evenHeads = evenHeadsOf(second);
    const notes = [inner.note, second.note].filter((note) => note !== undefined);
    const left = tokens === undefined ? { factor } : { tokens };
    return {
      ...shared,
      options: Object.freeze({ inner: expression(inner), second: expression(second), ...left }),
      score: withKernel((layer) => second.score(layer), second.score.kernel),
      first: Object.freeze({ policy: inner, ...left }),
      ...(notes.length > 0 ? { note: notes.join("; ") } : {}),
      ...(evenHeads ? { evenHeads: compose({ ...options, second: evenHeads }) } : {}),
      ...(inner.forModel || second.forModel
        ? {
          forModel: oncePerModel(async (model) =>
            compose({
              ...options,
              inner: await inner.forModel?.(model) ?? inner,
              second: await second.forModel?.(model) ?? second,
            })
          ),
        }
        : {}),
    };
  });
}

/** Refuses what only the whole may do. */
function checkRound(policy: ScorerPolicy): void {
  if (policy.phases?.decoding) {
    throw refuse(
      policy,
      "it evicts while decoding; wrap the whole, as in while_decoding(compose(…))",
    );
  }
  if (policy.phases?.reading) {
    throw refuse(
      policy,
      "it evicts while the prompt is read; wrap the whole, as in while_reading(compose(…))",
    );
  }
  if (policy.merging) {
    throw refuse(
      policy,
      "it merges what it drops; wrap the whole, as in merge(compose(…))",
    );
  }
  if (policy.restores) {
    throw refuse(
      policy,
      "its soft tokens stay in the cache; wrap the whole, as in restore_kv(compose(…))",
    );
  }
  if (policy.positions) {
    throw refuse(
      policy,
      "it moves keys to other positions; wrap the whole, as in rerotate(compose(…))",
    );
  }
}

function refuse({ name }: ScorerPolicy, reason: string): OptionError {
  return new OptionError(`Cannot use '${name}' in '${about.name}': ${reason}`);
}

export default compose;
