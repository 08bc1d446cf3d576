import { expression } from "./_expression.ts";
import { makePolicy } from "./_make.ts";
import { oncePerModel } from "./_model_file.ts";
import type { OptionsOf, PolicyAbout, Settings } from "./_options.ts";
import { policyMembers } from "./contract/members.ts";
import {
  type ModelFacts,
  OptionError,
  type Protection,
  type ScorerPolicy,
  withKernel,
} from "./policy.ts";
import { snapKv } from "./snapkv.ts";

/** The option that every wrapper has. */
export const innerOption = {
  kind: "policy",
  about: "the policy inside; snapkv when absent",
} as const;

/** What a wrapper says of itself. */
type WrapperAbout = PolicyAbout & { readonly options: { readonly inner: typeof innerOption } };

/** What a wrapper changes a policy with. */
export interface Wrapping<About extends PolicyAbout> {
  /** The wrapper's options, with the defaults filled in. */
  readonly settings: Settings<About>;
  /** The error that refuses the inner policy for a reason. */
  readonly refuse: (reason: string) => OptionError;
}

/**
 * Makes a wrapper's policy: all that the inner one has, but for some changes. The inner score comes
 * with its kernel; a score in its place has one of its own, or none.
 *
 * @throws {OptionError} If an option is unknown, of the wrong type or out of range.
 */
export function wrapPolicy<const About extends WrapperAbout>(
  about: About,
  options: OptionsOf<About>,
  change: (inner: ScorerPolicy, wrapping: Wrapping<About>) => Partial<ScorerPolicy>,
): ScorerPolicy {
  return makePolicy(about, options, (settings) => {
    const { inner = snapKv() }: { readonly inner?: ScorerPolicy | undefined } = settings;
    const { name: _name, paper: _paper, evenHeads: _own, ...members } = policyMembers(inner);
    const evenHeads = evenHeadsOf(inner);
    const refuse = (reason: string) =>
      new OptionError(`Cannot wrap '${inner.name}' in '${about.name}': ${reason}`);
    return {
      ...members,
      options: Object.freeze({ ...settings, inner: expression(inner) }),
      score: withKernel((layer) => inner.score(layer), inner.score.kernel),
      ...(inner.forModel ? { forModel: wrappedForModel(about, options, inner, change) } : {}),
      ...(evenHeads
        ? { evenHeads: wrapPolicy(about, { ...options, inner: evenHeads }, change) }
        : {}),
      ...change(inner, { settings, refuse }),
    };
  });
}

/** The even-headed policy of one. That of a policy whose members it took over would be another. */
export function evenHeadsOf({ name, evenHeads }: ScorerPolicy): ScorerPolicy | undefined {
  return evenHeads?.name === name ? evenHeads : undefined;
}

/**
 * The options of a wrapper that divides budgets itself: in them an inner policy that does so too gives
 * way to its even-headed one, if it has one.
 */
export function evenInside<Options extends { readonly inner?: ScorerPolicy | undefined }>(
  options: Options,
): Options {
  // Options are not checked yet.
  const evenHeads = options?.inner && evenHeadsOf(options.inner);
  return evenHeads ? { ...options, inner: evenHeads } : options;
}

/** The same wrapper around the inner policy as it is for a model. */
function wrappedForModel<const About extends WrapperAbout>(
  about: About,
  options: OptionsOf<About>,
  inner: ScorerPolicy,
  change: (inner: ScorerPolicy, wrapping: Wrapping<About>) => Partial<ScorerPolicy>,
): NonNullable<ScorerPolicy["forModel"]> {
  return oncePerModel(async (model) =>
    wrapPolicy(about, { ...options, inner: await innerForModel(inner, model) }, change)
  );
}

/** The inner policy as it is for a model, which then asks for nothing more. */
export async function innerForModel(
  inner: ScorerPolicy,
  model: ModelFacts,
): Promise<ScorerPolicy> {
  const { forModel: _asked, ...fitted } = policyMembers(await inner.forModel?.(model) ?? inner);
  return fitted;
}

/**
 * How many tokens a policy always keeps; 0 where only a later answer tells.
 *
 * @param keep Tokens per KV head that are kept.
 * @param length Tokens that are held before.
 */
export function alwaysKept({ protect = {} }: ScorerPolicy, keep: number, length: number): number {
  const given: Protection | Promise<Protection> = typeof protect === "function"
    ? protect(keep, length)
    : protect;
  return given instanceof Promise ? 0 : (given.sinks ?? 0) + (given.recent ?? 0);
}
