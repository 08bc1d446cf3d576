import { CheckpointError } from "../errors.ts";

/** Typed access to the settings of a checkpoint; each method names the setting that it refuses. */
export interface Fields {
  /** A whole number of at least 1. */
  count(key: string, fallback?: number): number;
  /** A finite number above 0. */
  positive(key: string, fallback?: number): number;
  /** A setting that may be absent or null: `undefined` then. */
  optional<T>(key: string, read: (key: string) => T): T | undefined;
  /** The raw value, or its default; null counts as absent. */
  raw(key: string): unknown;
  /** Whether the setting is there and null, for those where that differs from its default. */
  isNull(key: string): boolean;
  /** True, false or absent. */
  flag(key: string): boolean | undefined;
  /** One token id, a list of them, or nothing. */
  ids(key: string): readonly number[];
  /** Throws a {@linkcode CheckpointError} about the file. */
  refuse(problem: string): never;
}

/**
 * Wraps settings that were read from a file.
 *
 * @param path File, for messages.
 * @param settings By key; nothing is known about the values.
 * @param defaults What holds for settings that are absent or null.
 */
export function fieldsOf(
  path: string,
  settings: Readonly<Record<string, unknown>>,
  defaults: Readonly<Record<string, unknown>> = {},
): Fields {
  const own = (record: Readonly<Record<string, unknown>>, key: string) =>
    Object.hasOwn(record, key) ? record[key] : undefined;
  const raw = (key: string) => own(settings, key) ?? own(defaults, key);
  const refuse = (problem: string): never => {
    throw new CheckpointError(`Cannot use ${path}: ${problem}.`);
  };
  const number = (
    key: string,
    fallback: number | undefined,
    fits: (value: number) => boolean,
    wanted: string,
  ): number => {
    const value = raw(key) ?? fallback;
    if (typeof value === "number" && fits(value)) return value;
    return refuse(
      value === undefined
        ? `"${key}" is missing`
        : `"${key}" is ${shown(value)} but must be ${wanted}`,
    );
  };
  const isId = (value: unknown): value is number =>
    typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
  return {
    raw,
    refuse,
    isNull: (key) => own(settings, key) === null,
    flag(key) {
      const value = raw(key);
      if (value === undefined || typeof value === "boolean") return value;
      return refuse(`"${key}" is ${shown(value)} but must be true or false`);
    },
    count: (key, fallback) =>
      number(
        key,
        fallback,
        (value) => Number.isSafeInteger(value) && value >= 1,
        "a whole number of at least 1",
      ),
    positive: (key, fallback) =>
      number(key, fallback, (value) => Number.isFinite(value) && value > 0, "a number above 0"),
    optional: (key, read) => raw(key) === undefined ? undefined : read(key),
    ids(key) {
      const value = raw(key) ?? [];
      const ids: readonly unknown[] = Array.isArray(value) ? value : [value];
      if (ids.every(isId)) return ids;
      return refuse(`"${key}" is ${shown(value)} but must be a token id or a list of them`);
    },
  };
}

/** A text as it is, anything else as {@linkcode shown}. */
export function named(value: unknown): string {
  return typeof value === "string" ? value : shown(value);
}

/** A value for a message, not longer than a few words. */
export function shown(value: unknown): string {
  const text = typeof value === "bigint"
    ? String(value)
    : Array.isArray(value) && value.some((item) => typeof item === "bigint")
    ? `[${value.join(",")}]`
    : JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
