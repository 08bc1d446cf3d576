import { BenchmarkError } from "./errors.ts";
import { createShapeReader, type ShapeReader } from "./ruler/question_set.ts";

/** One line of a file, as an object. */
export interface JsonLine {
  readonly value: Readonly<Record<string, unknown>>;
  /** Reads its fields, and names its place where they are not what they must be. */
  readonly read: ShapeReader;
  /** Where it stands, for errors. */
  readonly place: string;
}

/** @throws {BenchmarkError} If the value is not an object. */
export function createJsonLine(value: unknown, place: string, format: string): JsonLine {
  const read = createShapeReader(place, format);
  return { value: read.object(value, "it"), read, place };
}

/**
 * Reads a file with one JSON object per line; empty lines are passed over.
 *
 * @param place Where the text comes from, for errors.
 * @param format What it should be.
 * @throws {BenchmarkError} If a line is not a JSON object, or there is none.
 */
export function readJsonLines(text: string, place: string, format: string): readonly JsonLine[] {
  const lines = text.replace(/^\uFEFF/, "").split("\n").flatMap((line, at): JsonLine[] => {
    if (line.trim() === "") return [];
    return [createJsonLine(parse(line), `${place}, line ${at + 1},`, format)];
  });
  if (lines.length > 0) return lines;
  throw new BenchmarkError(
    `Cannot read ${place} as ${format}: it is empty; give a file with one JSON object per line`,
  );
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
