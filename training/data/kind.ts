import { isRecord } from "../../runtime/checkpoint/read_json.ts";
import type { ExampleKind, Turns } from "./example.ts";

/** Fields in which collections say where a record comes from. */
const LABELS = ["source", "id", "category", "kind", "task", "dataset"];

/** `code`, `codegen`, `my-coding-set`, but not `encoded`. */
const CODE_LABEL = /(?<![a-z])cod(e|ing)/i;

/** Lines as most programming languages write them. */
const CODE_LINE =
  /^\s*(#include|def \w+\(|class \w+.*[:{]\s*$|import [\w.{*]|from [\w.]+ import|function\b.*\(|(const|let|var) \w+ ?=|return\b.*;|(if|for|while) ?\(.*\{\s*$|\}\)?;?\s*$)|[;{]\s*$/;
const CODE_LINES = 3;
const CODE_SHARE = 0.2;

/**
 * Tells code from everything else. A record is code if one of its fields `source`, `id`, `category`,
 * `kind`, `task`, `dataset` has a word that starts with "code" or "coding", if a turn has a fenced
 * block, or if in one turn at least three lines and a fifth of all look like lines of a program.
 *
 * @param record As it stands in the file.
 */
export function kindOf(record: unknown, { messages, response = "" }: Turns): ExampleKind {
  const labels = isRecord(record) ? LABELS.map((name) => record[name]) : [];
  const labelled = labels.some((label) => typeof label === "string" && CODE_LABEL.test(label));
  const texts = [...messages.map(({ content }) => content), response];
  return labelled || texts.some(looksLikeCode) ? "code" : "general";
}

function looksLikeCode(text: string): boolean {
  if (/^[ \t]*(```|~~~)/m.test(text)) return true;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const code = lines.filter((line) => CODE_LINE.test(line)).length;
  return code >= CODE_LINES && code >= CODE_SHARE * lines.length;
}
