import type { GraphNode } from "../onnx/graph.ts";
import type { Rule, Rules } from "./rule.ts";
import { ACTIVATIONS } from "./rules/activations.ts";
import { ARITHMETIC } from "./rules/arithmetic.ts";
import { BLOCK_PRODUCTS } from "./rules/block_products.ts";
import { LAYOUT } from "./rules/layout.ts";
import { NORMS } from "./rules/norms.ts";
import { PARTS } from "./rules/parts.ts";
import { PRODUCTS } from "./rules/products.ts";
import { REDUCTIONS } from "./rules/reductions.ts";

const RULES: ReadonlyMap<string, Rule> = new Map(
  ([ACTIVATIONS, ARITHMETIC, BLOCK_PRODUCTS, LAYOUT, NORMS, PARTS, PRODUCTS, REDUCTIONS] as Rules[])
    .flatMap((rules) => Object.entries(rules)),
);

/** Operators that can be differentiated. */
const DIFFERENTIABLE: readonly string[] = [...RULES.keys()].sort();

/** The rule of a node's operator, if there is one. */
export function findRule({ operator }: GraphNode): Rule | undefined {
  return RULES.get(operator);
}

/**
 * The rule of a node's operator.
 *
 * @throws {TypeError} If there is none, naming the operator.
 */
export function ruleOf(node: GraphNode): Rule {
  const rule = findRule(node);
  if (rule) return rule;
  throw new TypeError(
    `Cannot differentiate the operator ${node.operator}: only ${
      DIFFERENTIABLE.join(", ")
    } have rules`,
  );
}
