import { suggest } from "./_suggest.ts";
import { OptionError } from "./policy.ts";

/** One option of a policy: what it may be, and what it is when absent. */
export interface OptionSpec<T> {
  /** What it may be, in words, as in "must be an integer of at least 1". */
  readonly type: string;
  /** Value when the option is absent. */
  readonly default: T;
  /** What it does, and its unit. */
  readonly about: string;
  /** Whether a value is of the type. */
  readonly accepts: (value: unknown) => value is Exclude<T, undefined>;
}

/** What is known of a policy before one is made; the registry is generated from it. */
export interface PolicyAbout<Options> {
  /** Name in the registry, snake_case like the file. */
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** Address of the paper; absent for baselines. */
  readonly paper?: string;
  /** Every option. */
  readonly options: { readonly [Name in keyof Options]-?: OptionSpec<Options[Name]> };
}

/** A policy's options with the defaults filled in. */
export type Settings<Options> = { readonly [Name in keyof Options]-?: Options[Name] };

/** An option that counts something. */
export function integer<T extends number | undefined>(
  spec: { min: number; odd?: boolean; default: T; about: string },
): OptionSpec<T | number> {
  const { min, odd = false } = spec;
  return {
    type: `an ${odd ? "odd " : ""}integer of at least ${min}`,
    default: spec.default,
    about: spec.about,
    accepts: (value): value is Exclude<T | number, undefined> =>
      Number.isSafeInteger(value) && Number(value) >= min && (!odd || Number(value) % 2 === 1),
  };
}

/** An option that measures something. */
export function number(
  spec: { min: number; max?: number; default: number; about: string },
): OptionSpec<number> {
  const { min, max = Infinity } = spec;
  return {
    type: max === Infinity ? `a number of at least ${min}` : `a number from ${min} to ${max}`,
    default: spec.default,
    about: spec.about,
    accepts: (value): value is number =>
      typeof value === "number" && Number.isFinite(value) && value >= min && value <= max,
  };
}

/** An option that is on or off. */
export function flag(spec: { default: boolean; about: string }): OptionSpec<boolean> {
  return {
    type: "true or false",
    default: spec.default,
    about: spec.about,
    accepts: (value): value is boolean => typeof value === "boolean",
  };
}

/** An option that is one of a few words. */
export function choice<const Word extends string>(
  spec: { words: readonly Word[]; default: NoInfer<Word>; about: string },
): OptionSpec<Word> {
  return {
    type: spec.words.map((word) => JSON.stringify(word)).join(" or "),
    default: spec.default,
    about: spec.about,
    accepts: (value): value is Word => spec.words.some((word) => word === value),
  };
}

/**
 * Checks a policy's options and fills in the defaults.
 *
 * @throws {OptionError} If an option is unknown, of the wrong type or out of range.
 */
export function readOptions<Options extends object>(
  about: PolicyAbout<Options>,
  given: Options,
): Settings<Options> {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new OptionError(
      `Cannot make policy '${about.name}': its options must be an object, got ${show(given)}`,
    );
  }
  const names = Object.keys(about.options);
  for (const name of Object.keys(given)) {
    if (!names.includes(name)) throw unknownOption(about.name, name, names);
  }
  const settings: Partial<Record<keyof Options, unknown>> = {};
  for (const name in about.options) {
    settings[name] = readOption(about.name, name, about.options[name], given[name]);
  }
  return Object.freeze(settings as Settings<Options>);
}

function readOption<T>(policy: string, name: string, spec: OptionSpec<T>, value: unknown): T {
  if (value === undefined) return spec.default;
  if (spec.accepts(value)) return value;
  throw new OptionError(
    `Cannot make policy '${policy}': option '${name}' must be ${spec.type}, got ${show(value)}`,
  );
}

function unknownOption(policy: string, name: string, names: readonly string[]): OptionError {
  const takes = names.length === 0 ? "It takes no options" : `It takes ${names.join(", ")}`;
  return new OptionError(
    `Cannot make policy '${policy}': it has no option '${name}'${suggest(name, names)} ${takes}`,
  );
}

function show(value: unknown): string {
  return typeof value === "number" ? String(value) : JSON.stringify(value) ?? String(value);
}
