import * as v from "npm:valibot@1.5.0";

/** A field that may be absent, or `null`, which clients send for the same. */
export function optional<const S extends v.GenericSchema>(schema: S) {
  return v.nullish(schema);
}

/** A number within bounds. */
export function between(low: number, high: number, name = "a number") {
  const what = `${name} from ${low} to ${high}`;
  return v.pipe(
    v.number(what),
    v.finite(what),
    v.minValue(low, what),
    v.maxValue(high, what),
  );
}

/** An integer from `low` on. */
export function integerFrom(low: number, high: number = 2 ** 31 - 1) {
  const what = high === 2 ** 31 - 1
    ? `an integer of at least ${low}`
    : `an integer from ${low} to ${high}`;
  return v.pipe(
    v.number(what),
    v.integer(what),
    v.minValue(low, what),
    v.maxValue(high, what),
  );
}

/** An object whose fields do not matter here. */
export const ANY_OBJECT = v.record(v.string(), v.unknown());

/** Longer names and ids come from no client. */
export const NAME = v.pipe(
  v.string("a text"),
  v.maxLength(512, "a text of at most 512 characters"),
);

/** Token ids. */
export const IDS = v.array(integerFrom(0));

/** `null` is the same as absent. */
export function given<T>(value: T | null | undefined): T | undefined {
  return value ?? undefined;
}

/** An object without the fields that are absent, as exact optional types want it. */
export function present<T extends object>(
  fields: T,
): { [K in keyof T]?: Exclude<T[K], undefined | null> } {
  const kept: { [K in keyof T]?: Exclude<T[K], undefined | null> } = {};
  for (const key in fields) {
    const value = fields[key];
    if (isPresent(value)) kept[key] = value;
  }
  return kept;
}

function isPresent<T>(value: T): value is Exclude<T, undefined | null> {
  return value !== undefined && value !== null;
}
