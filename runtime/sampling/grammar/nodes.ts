import type { Expression } from "./grammar.ts";

/** A part of a grammar by number, ready to be walked through. */
export type Node =
  | { readonly kind: "bytes"; readonly id: number; readonly bytes: Uint8Array }
  /** `allowed[byte]` is 1 where the byte may come. */
  | { readonly kind: "byte"; readonly id: number; readonly allowed: Uint8Array }
  | { readonly kind: "sequence"; readonly id: number; readonly parts: readonly Node[] }
  | { readonly kind: "choice"; readonly id: number; readonly parts: readonly Node[] }
  | {
    readonly kind: "repeat";
    readonly id: number;
    readonly part: Node;
    readonly least: number;
    readonly most: number;
  }
  | { readonly kind: "rule"; readonly id: number; body: Node | undefined };

/** Numbers the parts of a grammar; a part that is used twice is one. */
export function numberNodes(root: Expression): Node {
  const known = new Map<Expression, Node>();
  let count = 0;
  const visit = (expression: Expression): Node => {
    const found = known.get(expression);
    if (found) return found;
    if (expression.kind === "rule") {
      const rule: Node = { kind: "rule", id: count++, body: undefined };
      known.set(expression, rule);
      rule.body = visit(expression.body);
      return rule;
    }
    const node = made(expression);
    known.set(expression, node);
    return node;
  };
  const made = (expression: Exclude<Expression, { kind: "rule" }>): Node => {
    switch (expression.kind) {
      case "bytes":
        return { kind: "bytes", id: count++, bytes: expression.bytes };
      case "byte": {
        const allowed = new Uint8Array(256);
        for (const [from, to] of expression.ranges) allowed.fill(1, from, to + 1);
        return { kind: "byte", id: count++, allowed };
      }
      case "sequence":
      case "choice": {
        const parts = expression.parts.map(visit);
        return { kind: expression.kind, id: count++, parts };
      }
      case "repeat": {
        const { least, most } = expression;
        const part = visit(expression.part);
        return { kind: "repeat", id: count++, part, least, most };
      }
    }
  };
  return visit(root);
}
