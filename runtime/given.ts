import { PromptError } from "./errors.ts";

/**
 * What something is, in words that fit into a sentence: never its content, which may be a document.
 *
 * @example
 * ```ts
 * import { kindOfGiven } from "./given.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const all = ["a long text", 5, null, undefined, [1], {}, new Map(), () => 5].map(kindOfGiven);
 * assertEquals(all, ["a text", "5", "null", "nothing", "an array", "an object", "Map", "a function"]);
 * ```
 */
export function kindOfGiven(value: unknown): string {
  switch (typeof value) {
    case "undefined":
      return "nothing";
    case "string":
      return value === "" ? "an empty text" : "a text";
    case "function":
      return "a function";
    case "object": {
      if (value === null) return "null";
      if (Array.isArray(value)) return "an array";
      const kind = Object.prototype.toString.call(value).slice("[object ".length, -1);
      return kind === "Object" ? "an object" : kind;
    }
    default:
      return String(value);
  }
}

/**
 * Refuses what is no object.
 *
 * @param doing What cannot be done then, as in "open a session".
 * @param name What was given, as in "its options".
 * @throws {PromptError} If it is none.
 */
export function demandObject(
  doing: string,
  name: string,
  value: unknown,
): asserts value is object {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  throw new PromptError(`Cannot ${doing}: ${name} must be an object, got ${kindOfGiven(value)}`);
}

/**
 * Refuses what is no text.
 *
 * @param way What to give instead, as in "a path".
 * @throws {PromptError} If it is none.
 */
export function demandText(
  doing: string,
  name: string,
  value: unknown,
  way = "a text",
): asserts value is string {
  if (typeof value === "string") return;
  throw new PromptError(`Cannot ${doing}: ${name} must be ${way}, got ${kindOfGiven(value)}`);
}

/**
 * Refuses what is no function.
 *
 * @throws {PromptError} If it is none.
 */
export function demandFunction(doing: string, name: string, value: unknown): void {
  if (typeof value === "function") return;
  throw new PromptError(`Cannot ${doing}: ${name} must be a function, got ${kindOfGiven(value)}`);
}

/**
 * Refuses what is no array.
 *
 * @throws {PromptError} If it is none.
 */
export function demandArray(doing: string, name: string, value: unknown): void {
  if (Array.isArray(value)) return;
  throw new PromptError(`Cannot ${doing}: ${name} must be an array, got ${kindOfGiven(value)}`);
}

/** What the value of an option must be. */
export type OptionKind = "any" | "boolean" | "function" | "signal" | "text";

/** The options of a function, with what each must be. */
export type OptionKinds<Options> = {
  readonly [Name in keyof Options]-?: OptionKind;
};

/**
 * Refuses options that are no object, have a name that is not known, or are of another kind. Numbers are
 * left to whoever knows their bounds.
 *
 * @throws {PromptError} If that is so.
 */
export function demandOptions<Options>(
  doing: string,
  options: unknown,
  kinds: OptionKinds<Options>,
): void {
  demandObject(doing, "its options", options);
  for (const [name, value] of Object.entries(options)) {
    const kind = Object.entries<OptionKind>(kinds).find(([known]) => known === name)?.[1];
    if (kind === undefined) {
      throw new PromptError(
        `Cannot ${doing}: there is no option '${name.slice(0, 40)}'; there are ` +
          Object.keys(kinds).join(", "),
      );
    }
    if (value === undefined || isOfKind(value, kind)) continue;
    throw new PromptError(
      `Cannot ${doing}: '${name}' must be ${WORDS[kind]}, got ${kindOfGiven(value)}`,
      { options: [name] },
    );
  }
}

const WORDS: Readonly<Record<OptionKind, string>> = {
  any: "anything",
  boolean: "true or false",
  function: "a function",
  signal: "the signal of an AbortController",
  text: "a text",
};

function isOfKind(value: unknown, kind: OptionKind): boolean {
  switch (kind) {
    case "any":
      return true;
    case "signal":
      return value instanceof AbortSignal;
    case "text":
      return typeof value === "string";
    case "boolean":
      return typeof value === "boolean";
    case "function":
      return typeof value === "function";
  }
}
