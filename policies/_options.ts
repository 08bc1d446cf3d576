import { suggest } from "./_suggest.ts";
import {
  type ModelFileSource,
  OptionError,
  type ScorerPolicy,
  type SoftTokenSource,
} from "./policy.ts";

/** One option of a policy: what it may be, its value when absent, and what it does, with its unit. */
export type OptionSpec =
  & {
    /** What it does, and its unit. */
    readonly about: string;
  }
  & (
    /** It counts something; without a default it may be absent. */
    | {
      readonly kind: "integer";
      readonly min: number;
      readonly odd?: true;
      readonly default?: number;
    }
    /** It measures something; without a default it may be absent. */
    | {
      readonly kind: "number";
      readonly min: number;
      readonly max?: number;
      readonly default?: number;
    }
    /** It is on or off. */
    | { readonly kind: "flag"; readonly default: boolean }
    /** It is one of a few words. */
    | { readonly kind: "choice"; readonly words: readonly string[]; readonly default: string }
    /** It weighs layers. */
    | { readonly kind: "weights"; readonly default: readonly number[] }
    /** It is a text, as token ids. */
    | { readonly kind: "token_ids" }
    /** It is a policy to be wrapped. */
    | { readonly kind: "policy" }
    /** It is where soft tokens come from. */
    | { readonly kind: "soft_tokens" }
    /** It is a file that was made once for the model. */
    | { readonly kind: "model_file" }
  );

/** What a policy says of itself, once: the registry, its page and its errors are made from it. */
export interface PolicyAbout {
  /** Name in the registry, snake_case like the file. */
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** Address of the paper; absent for baselines. */
  readonly paper?: string;
  /** Every option by name. */
  readonly options: Readonly<Record<string, OptionSpec>>;
}

/** Types of the values of options, by kind; a choice has its own words. */
export interface OptionValues {
  /** An integer. */
  readonly integer: number;
  /** A number. */
  readonly number: number;
  /** On or off. */
  readonly flag: boolean;
  /** One for each layer, or a few. */
  readonly weights: readonly number[];
  /** A text. */
  readonly token_ids: readonly number[];
  /** A policy that scores. */
  readonly policy: ScorerPolicy;
  /** Where they come from. */
  readonly soft_tokens: SoftTokenSource;
  /** Where it lies. */
  readonly model_file: ModelFileSource;
}

/** What an option may be, for the type checker; `undefined` too where it has no default. */
export type OptionValue<Spec extends OptionSpec> =
  | (Spec extends { readonly words: readonly (infer Word)[] } ? Word
    : Spec["kind"] extends keyof OptionValues ? OptionValues[Spec["kind"]]
    : never)
  | (Spec extends { readonly default: unknown } ? never : undefined);

/** The options that a policy takes, each of which may be absent. */
export type OptionsOf<About extends PolicyAbout> = {
  readonly [Name in keyof About["options"]]?: OptionValue<About["options"][Name]>;
};

/** A policy's options with the defaults filled in. */
export type Settings<About extends PolicyAbout> = {
  readonly [Name in keyof About["options"]]: OptionValue<About["options"][Name]>;
};

/**
 * Checks a policy's options and fills in the defaults.
 *
 * @throws {OptionError} If an option is unknown, of the wrong type or out of range.
 */
export function readOptions<const About extends PolicyAbout>(
  { name: policy, options: specs }: About,
  given: OptionsOf<About>,
): Settings<About> {
  const refuse = (problem: string) => new OptionError(`Cannot make policy '${policy}': ${problem}`);
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw refuse(`its options must be an object, got ${show(given)}`);
  }
  const values = new Map<string, unknown>(Object.entries(given));
  const names = Object.keys(specs);
  const unknown = [...values.keys()].find((name) => !names.includes(name));
  if (unknown !== undefined) {
    const takes = names.length === 0 ? "It takes no options" : `It takes ${names.join(", ")}`;
    throw refuse(`it has no option '${unknown}'${suggest(unknown, names)} ${takes}`);
  }
  const settings = Object.entries(specs).map(([name, spec]) => {
    const value = values.get(name);
    if (value === undefined) return [name, "default" in spec ? spec.default : undefined];
    if (accepts(spec, value)) return [name, value];
    throw refuse(`option '${name}' must be ${describeType(spec)}, got ${show(value)}`);
  });
  return Object.freeze(Object.fromEntries(settings)) as Settings<About>;
}

/** What an option may be, in words, as in "must be an integer of at least 1". */
export function describeType(spec: OptionSpec): string {
  switch (spec.kind) {
    case "integer":
      return `an ${spec.odd ? "odd " : ""}integer of at least ${spec.min}`;
    case "number":
      return spec.max === undefined
        ? `a number of at least ${spec.min}`
        : `a number from ${spec.min} to ${spec.max}`;
    case "flag":
      return "true or false";
    case "choice":
      return spec.words.map((word) => JSON.stringify(word)).join(" or ");
    case "weights":
      return "a list of at least one number above 0";
    case "token_ids":
      return "a list of at least one token id";
    case "policy":
      return "a policy that scores and evicts";
    case "soft_tokens":
      return 'a path, a URL, soft tokens or "untrained"';
    case "model_file":
      return "a path, a URL or what was read from one";
  }
}

/** Whether an option may have a value. */
export function accepts(spec: OptionSpec, value: unknown): boolean {
  switch (spec.kind) {
    case "integer":
      return isCount(value, spec.min) && (!spec.odd || value % 2 === 1);
    case "number":
      return isFinite(value) && value >= spec.min && value <= (spec.max ?? Infinity);
    case "flag":
      return typeof value === "boolean";
    case "choice":
      return spec.words.some((word) => word === value);
    case "weights":
      return isList(value, (weight) => isFinite(weight) && weight > 0);
    case "token_ids":
      return isList(value, (id) => isCount(id, 0));
    case "policy":
      return typeof value === "object" && value !== null && "score" in value &&
        typeof value.score === "function" && (!("evicts" in value) || value.evicts !== false);
    case "soft_tokens":
      return typeof value === "string" ? value !== "" : value instanceof URL ||
        (typeof value === "object" && value !== null && "embeddings" in value &&
          value.embeddings instanceof Float32Array);
    case "model_file":
      return typeof value === "string" ? value !== "" : value instanceof URL ||
        (typeof value === "object" && value !== null && "kind" in value && "tensors" in value);
  }
}

function isCount(value: unknown, min: number): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= min;
}

function isFinite(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function isList(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isItem);
}

function show(value: unknown): string {
  return typeof value === "number" ? String(value) : JSON.stringify(value) ?? String(value);
}
