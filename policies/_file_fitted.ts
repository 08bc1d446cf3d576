import { makePolicy } from "./_make.ts";
import {
  describeFileSource,
  modelFileFor,
  type ModelFileNeeds,
  noFileNote,
  oncePerModel,
} from "./_model_file.ts";
import type { OptionsOf, PolicyAbout, Settings } from "./_options.ts";
import type { ModelFile, ModelFileSource, ScorerPolicy } from "./policy.ts";

/** How a policy is fitted to a model by a file that was made once for it. */
export interface FileFitting<About extends PolicyAbout> {
  readonly needs: ModelFileNeeds;
  /** The option that says where the file is. */
  readonly option: keyof About["options"] & string;
  /** What it says. */
  readonly source: (settings: Settings<About>) => ModelFileSource | undefined;
  /** What is done where there is no file, for the note. */
  readonly instead: string;
  /** What the policy is with a file, and without one. */
  readonly parts: (
    settings: Settings<About>,
    file: ModelFile | undefined,
  ) => Omit<ScorerPolicy, "name" | "paper" | "options" | "forModel" | "note">;
}

/**
 * Makes a policy that a file fits to a model. Without one it is as it is before the model is known, and a note
 * says what is done instead.
 *
 * @throws {OptionError} If an option is unknown, of the wrong type or out of range. When it is fitted: if the file
 * was made for another policy or another model.
 */
export function fileFitted<const About extends PolicyAbout>(
  about: About,
  options: OptionsOf<About>,
  { needs, option, source, instead, parts }: FileFitting<About>,
): ScorerPolicy {
  return makePolicy(about, options, (settings) => {
    const shown = { options: shownOptions(settings, { [option]: source(settings) }) };
    return {
      ...shown,
      ...parts(settings, undefined),
      forModel: oncePerModel(async (model): Promise<ScorerPolicy> => {
        const file = await modelFileFor(source(settings), needs, model);
        const note = file ? {} : { note: noFileNote(needs, instead) };
        return makePolicy(about, options, () => ({ ...shown, ...parts(settings, file), ...note }));
      }),
    };
  });
}

/**
 * Options as records show them: those that are absent are left out.
 *
 * @param files Options that say where a file is: it stands there in words.
 */
export function shownOptions(
  options: object,
  files: Readonly<Record<string, ModelFileSource | undefined>>,
): Readonly<Record<string, unknown>> {
  const described = Object.entries(files).map(([name, source]) => [
    name,
    describeFileSource(source),
  ]);
  const all = Object.entries({ ...options, ...Object.fromEntries(described) });
  return Object.freeze(Object.fromEntries(all.filter(([, value]) => value !== undefined)));
}
