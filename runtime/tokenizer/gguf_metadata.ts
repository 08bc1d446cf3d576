import { CheckpointError } from "../errors.ts";

/** Typed access to the metadata of a GGUF file. */
export interface MetadataReader {
  /** A text. */
  text(key: string): string | undefined;
  /** True or false. */
  flag(key: string): boolean | undefined;
  /** A whole number such as a token id. */
  integer(key: string): number | undefined;
  /** A list of texts. */
  texts(key: string): readonly string[] | undefined;
  /** A list of numbers. */
  numbers(key: string): ArrayLike<number> | undefined;
}

/**
 * Wraps GGUF metadata so that each read checks the type.
 *
 * @throws {CheckpointError} On reading, if a value has another type than asked for.
 */
export function readMetadata(metadata: Readonly<Record<string, unknown>>): MetadataReader {
  const read = <T>(key: string, kind: string, is: (value: unknown) => value is T) => {
    const value = metadata[key];
    if (value === undefined || value === null) return undefined;
    if (is(value)) return value;
    throw new CheckpointError(
      `Cannot read the tokenizer: GGUF metadata ${key} must be ${kind}, got ${describe(value)}; ` +
        "the file may be damaged",
    );
  };
  return {
    text: (key) => read(key, "text", (value) => typeof value === "string"),
    flag: (key) => read(key, "true or false", (value) => typeof value === "boolean"),
    integer: (key) => {
      const value = read(key, "a whole number", isInteger);
      return value === undefined ? undefined : Number(value);
    },
    texts: (key) => read(key, "a list of texts", isTexts),
    numbers: (key) => read(key, "a list of numbers", isNumbers),
  };
}

function isInteger(value: unknown): value is number | bigint {
  return typeof value === "bigint" || Number.isInteger(value);
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isNumbers(value: unknown): value is ArrayLike<number> {
  if (ArrayBuffer.isView(value)) return value.constructor !== DataView;
  return Array.isArray(value) && value.every((item) => typeof item === "number");
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length} with ${describe(value[0])}`;
  return typeof value === "object" ? "an object" : `${typeof value} ${String(value)}`;
}
