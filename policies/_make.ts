import { type OptionsOf, type PolicyAbout, readOptions, type Settings } from "./_options.ts";
import type { EvictionPolicy, Policy, ScorerPolicy } from "./policy.ts";

/** What a policy adds to what it says of itself; `options` only where records show others. */
type Parts<Made extends Policy> = Omit<Made, "name" | "paper">;

/**
 * Makes a policy of what it says of itself, the options that it was given and its own parts.
 *
 * @param parts Gives them for the settings: the options, checked, with the defaults filled in.
 * @throws {OptionError} If an option is unknown, of the wrong type or out of range.
 */
export function makePolicy<const About extends PolicyAbout>(
  about: About,
  options: OptionsOf<About>,
  parts: (settings: Settings<About>) => Parts<ScorerPolicy>,
): ScorerPolicy;
/** The same for a policy that selects. */
export function makePolicy<const About extends PolicyAbout>(
  about: About,
  options: OptionsOf<About>,
  parts: (settings: Settings<About>) => Parts<EvictionPolicy>,
): EvictionPolicy;
export function makePolicy<const About extends PolicyAbout>(
  about: About,
  options: OptionsOf<About>,
  parts: (settings: Settings<About>) => Parts<ScorerPolicy> | Parts<EvictionPolicy>,
): Policy {
  const { name, paper } = about;
  const settings = readOptions(about, options);
  return Object.freeze({
    name,
    ...(paper === undefined ? {} : { paper }),
    options: settings,
    ...parts(settings),
  });
}
