import type { Expression } from "./grammar.ts";

/** Whether some text that ends belongs to a grammar: a list that must contain itself has none. */
export function hasEnd(root: Expression): boolean {
  const ending = new Set<Expression>();
  const parts = everyPart(root);
  for (let before = -1; before < ending.size;) {
    before = ending.size;
    // The inner parts come last.
    for (const part of parts.toReversed()) {
      if (ends(part, (one) => ending.has(one))) ending.add(part);
    }
  }
  return ending.has(root);
}

function ends(part: Expression, known: (part: Expression) => boolean): boolean {
  switch (part.kind) {
    case "bytes":
      return true;
    case "byte":
      return part.ranges.length > 0;
    case "sequence":
      return part.parts.every(known);
    case "choice":
      return part.parts.some(known);
    case "repeat":
      return part.least === 0 || known(part.part);
    case "rule":
      return known(part.body);
  }
}

function everyPart(root: Expression): Expression[] {
  const found = new Set<Expression>([root]);
  for (const part of found) {
    for (const inner of innerParts(part)) found.add(inner);
  }
  return [...found];
}

function innerParts(part: Expression): readonly Expression[] {
  switch (part.kind) {
    case "sequence":
    case "choice":
      return part.parts;
    case "repeat":
      return [part.part];
    case "rule":
      return [part.body];
    default:
      return [];
  }
}
