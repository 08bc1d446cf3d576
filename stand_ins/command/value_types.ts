import { ValidationError } from "./errors.ts";

/** A value as it stands on the command line, and where. */
export interface ArgumentValue {
  /** `Option` or `Argument`. */
  readonly label: string;
  /** Name of the type. */
  readonly type: string;
  /** Flag or argument that the value belongs to. */
  readonly name: string;
  readonly value: string;
}

/** Turns a text into a value, or throws a {@linkcode ValidationError}. */
export type TypeHandler<T> = (type: ArgumentValue) => T;

/** One of the given values. */
export class EnumType<const T extends string | number | boolean> {
  readonly #values: readonly T[];

  constructor(values: readonly T[]) {
    this.#values = values;
  }

  parse(type: ArgumentValue): T {
    const found = this.#values.find((value) => String(value) === type.value);
    if (found === undefined) throw invalid(type, this.#values.map(String));
    return found;
  }

  values(): T[] {
    return [...this.#values];
  }
}

/** A type by name: a function or an enumeration. */
export type ValueType = TypeHandler<unknown> | EnumType<string | number | boolean>;

/** Types that need no registration. */
export const BUILT_IN_TYPES: ReadonlyMap<string, ValueType> = new Map<string, ValueType>([
  ["string", ({ value }) => value],
  ["file", ({ value }) => value],
  ["number", numeric(Number.isFinite)],
  ["integer", numeric(Number.isInteger)],
  ["boolean", (type) => {
    if (type.value === "true" || type.value === "1") return true;
    if (type.value === "false" || type.value === "0") return false;
    throw invalid(type, ["true", "false", "1", "0"]);
  }],
]);

/** Parses a value with its type. */
export function parseValue(type: ValueType, given: ArgumentValue): unknown {
  return type instanceof EnumType ? type.parse(given) : type(given);
}

function numeric(accepts: (value: number) => boolean): TypeHandler<number> {
  return (type) => {
    const value = Number(type.value);
    if (!accepts(value)) throw invalid(type);
    return value;
  };
}

function invalid(
  { label, name, type, value }: ArgumentValue,
  expected?: readonly string[],
): ValidationError {
  const hint = expected ? ` Expected values: ${expected.map((x) => `"${x}"`).join(", ")}` : "";
  return new ValidationError(
    `${label} "${name}" must be of type "${type}", but got "${value}".${hint}`,
  );
}
