import { checkJson, checkRecord, demand, type SchemaOf } from "../../runtime/schema.ts";
import { BenchmarkError } from "./errors.ts";

/** One record of a file of records. */
export interface JsonLine {
  /** @throws {BenchmarkError} If the record does not keep to the schema. */
  read<T>(schema: SchemaOf<T>): T;
  /** Where it stands, for errors. */
  readonly place: string;
}

/** A record that is read when its schema is known. */
export function createJsonLine(value: unknown, place: string, format: string): JsonLine {
  return { read: (schema) => readBenchmarkRecord(schema, value, place, format, "it"), place };
}

/**
 * Reads a file with one JSON object per line; empty lines are passed over.
 *
 * @param place Where the text comes from, for errors.
 * @param format What it should be.
 * @throws {BenchmarkError} If there is no line.
 */
export function readJsonLines(text: string, place: string, format: string): readonly JsonLine[] {
  const lines = text.replace(/^\uFEFF/, "").split("\n").flatMap((line, at): JsonLine[] => {
    if (line.trim() === "") return [];
    const placeOfLine = `${place}, line ${at + 1},`;
    return [{
      read: (schema) => demand(checkJson(schema, line), misfit(placeOfLine, format)),
      place: placeOfLine,
    }];
  });
  if (lines.length > 0) return lines;
  throw new BenchmarkError(
    `Cannot read ${place} as ${format}: it is empty; give a file with one JSON object per line`,
  );
}

/** @throws {BenchmarkError} If the text is not JSON that keeps to the schema. */
export function readBenchmarkJson<T>(
  schema: SchemaOf<T>,
  text: string,
  place: string,
  format: string,
): T {
  return demand(checkJson(schema, text.replace(/^\uFEFF/, ""), "the file"), misfit(place, format));
}

/**
 * Checks a value that was read already.
 *
 * @throws {BenchmarkError} If it does not keep to the schema.
 */
export function readBenchmarkRecord<T>(
  schema: SchemaOf<T>,
  value: unknown,
  place: string,
  format: string,
  root = "the file",
): T {
  return demand(checkRecord(schema, value, root), misfit(place, format));
}

function misfit(place: string, format: string): (problem: string) => BenchmarkError {
  return (problem) =>
    new BenchmarkError(
      `Cannot read ${place} as ${format}: ${problem}; give the file as it was published`,
    );
}
