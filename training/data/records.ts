import { createScanner } from "npm:jsonc-parser@3.3.1";

/** A JSON value of a file, or why there is none. */
export type JsonRecord =
  & {
    /** Line on which the record starts, from 1. */
    readonly line: number;
  }
  & ({ readonly value: unknown } | { readonly problem: string });

/**
 * Whether a text holds JSON records. `[{` and `{"` tell it whatever the file is called; a text that
 * opens in another way is JSON if its name says so.
 */
export function looksLikeJson(text: string, path: string): boolean {
  return /^\s*(\[\s*[{\]]|\{\s*["}])/.test(text) || /\.(json|jsonl|ndjson)$/i.test(path);
}

/**
 * Takes a text apart into JSON records with their lines: the elements of an array, one value per
 * line, or values one after the other. Never throws: a broken record becomes a problem, and reading
 * goes on at the next line that looks like the start of a record.
 */
export function readRecords(text: string, path: string): Iterable<JsonRecord> {
  const lines = /\.(jsonl|ndjson)$/i.test(path) && !/^\s*\[\s*\{/.test(text);
  if (lines) return readLines(text);
  if (/^\s*\[/.test(text)) return readValues(text, true);
  // A first line that breaks off where JSON may go on belongs to an indented record.
  return /^\s*\{[^\n]*(?<=[{[,:])\s*\n/.test(text) ? readValues(text, false) : readLines(text);
}

function* readLines(text: string): Generator<JsonRecord> {
  let line = 0;
  for (let from = 0; from < text.length;) {
    const end = text.indexOf("\n", from);
    const to = end < 0 ? text.length : end;
    const record = text.slice(from, to).trim();
    line++;
    if (record !== "") yield { line, ...parse(record) };
    from = to + 1;
  }
}

/** Kinds of tokens; the library declares them as a `const enum`, which isolated modules cannot use. */
const TOKEN = { openBrace: 1, closeBrace: 2, openBracket: 3, closeBracket: 4, comma: 5, end: 17 };
const UNTERMINATED_STRING = 2;

/** Going back after a broken record reads text again; so many times the whole text at most. */
const MAX_READS = 20;

function* readValues(text: string, array: boolean): Generator<JsonRecord> {
  const scanner = createScanner(text, true);
  const lineAt = lineCounter(text);
  let again = 0;
  if (array) scanner.scan();
  for (let token = scanner.scan(); token !== TOKEN.end; token = scanner.scan()) {
    const from = scanner.getTokenOffset();
    // After a broken record, stray brackets may stand between records.
    if (token === TOKEN.comma || token === TOKEN.closeBrace) continue;
    if (token === TOKEN.closeBracket) {
      if (array && text.slice(scanner.getPosition()).trim() === "") return;
      continue;
    }
    const line = lineAt(from);
    if (token !== TOKEN.openBrace && token !== TOKEN.openBracket) {
      yield { line, problem: "it is not a JSON object" };
      continue;
    }
    const end = skipValue(scanner, token, text.length);
    if (end === "complete") {
      yield { line, ...parse(text.slice(from, scanner.getPosition())) };
      continue;
    }
    yield {
      line,
      problem: end === "cut" ? "the text ends in the middle of it" : "it is not valid JSON",
    };
    const next = nextStart(text, from);
    if (next === undefined) return;
    again += Math.max(0, scanner.getPosition() - next);
    if (again > MAX_READS * text.length) {
      yield { line: lineAt(next), problem: "the text is too damaged to read on from here" };
      return;
    }
    scanner.setPosition(next);
  }
  if (array) yield { line: lineAt(text.length), problem: "the text ends before the array does" };
}

/** Goes to the end of the value whose first token was just read. */
function skipValue(
  scanner: ReturnType<typeof createScanner>,
  first: number,
  length: number,
): "complete" | "broken" | "cut" {
  const open = [first];
  while (open.length > 0) {
    const token: number = scanner.scan();
    // A string never goes over the end of a line.
    const cutString = scanner.getTokenError() === UNTERMINATED_STRING;
    if (token === TOKEN.end || (cutString && scanner.getPosition() === length)) return "cut";
    if (cutString) return "broken";
    if (token === TOKEN.openBrace || token === TOKEN.openBracket) open.push(token);
    // Each closing kind follows its opening kind.
    else if (token === TOKEN.closeBrace || token === TOKEN.closeBracket) {
      if (open.pop() !== token - 1) return "broken";
    }
  }
  return "complete";
}

/** Where a record may start after the broken one at `from`: a later line, indented like its line. */
function nextStart(text: string, from: number): number | undefined {
  const lineStart = text.lastIndexOf("\n", from) + 1;
  const indent = /^[ \t]*/.exec(text.slice(lineStart, from))?.[0] ?? "";
  const start = new RegExp(`\\n${indent}(?:[\\]}],?[ \\t]*)?(?=\\{)`, "g");
  start.lastIndex = from;
  return start.exec(text) ? start.lastIndex : undefined;
}

function parse(record: string): { value: unknown } | { problem: string } {
  try {
    return { value: JSON.parse(record) };
  } catch {
    return { problem: "it is not valid JSON" };
  }
}

/** Lines of rising offsets, without counting from the start each time. */
function lineCounter(text: string): (offset: number) => number {
  let line = 1;
  let end = text.indexOf("\n");
  return (offset) => {
    for (; end >= 0 && end < offset; end = text.indexOf("\n", end + 1)) line++;
    return line;
  };
}
