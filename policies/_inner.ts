import type { OptionSpec, PolicyAbout } from "./_options.ts";
import { type Policy, type ScorerPolicy, withKernel } from "./policy.ts";
import { snapKv } from "./snapkv.ts";

/** What every wrapper's options have. */
export interface InnerOption {
  /**
   * The policy inside.
   *
   * @default {snapkv}
   */
  readonly inner?: ScorerPolicy | undefined;
}

/** What the registry says about the policy inside a wrapper. */
export const innerOption: OptionSpec<ScorerPolicy | undefined> = {
  type: "a policy that scores and evicts",
  default: undefined,
  about: "the policy inside; snapkv when absent",
  accepts: (value): value is ScorerPolicy =>
    typeof value === "object" && value !== null && "score" in value &&
    typeof value.score === "function" && (!("evicts" in value) || value.evicts !== false),
};

/** A wrapper's policy: the inner one, but for some changes. */
export function wrap<Options extends InnerOption>(
  { name, paper }: PolicyAbout<Options>,
  { inner = snapKv(), ...settings }: Options,
  change: (inner: ScorerPolicy) => Partial<ScorerPolicy>,
): ScorerPolicy {
  const { evidence, protect, allocate, allocateHeads, secondStage, phases, positions, first } =
    inner;
  return Object.freeze<ScorerPolicy>({
    name,
    ...(paper === undefined ? {} : { paper }),
    options: Object.freeze({ inner: expression(inner), ...settings }),
    evidence,
    ...(protect === undefined ? {} : { protect }),
    ...(allocate === undefined ? {} : { allocate }),
    ...(allocateHeads === undefined ? {} : { allocateHeads }),
    ...(secondStage === undefined ? {} : { secondStage }),
    ...(phases === undefined ? {} : { phases }),
    ...(positions === undefined ? {} : { positions }),
    ...(first === undefined ? {} : { first }),
    score: withKernel((layer) => inner.score(layer), inner.score.kernel),
    ...change(inner),
  });
}

/** A policy as it is written on a command line. */
export function expression({ name, options = {} }: Policy): string {
  const written = Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      return key === "inner" || key === "second" ? text : `${key}=${text}`;
    });
  return written.length === 0 ? name : `${name}(${written.join(",")})`;
}
