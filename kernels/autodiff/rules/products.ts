import { type GraphNode, MICROSOFT, type Value } from "../../onnx/graph.ts";
import { floatOf, inputOf, intOf, scalar } from "../forward.ts";
import type { BackwardStep, Known, Rule, Rules, Shape } from "../rule.ts";
import { unbroadcast } from "./arithmetic.ts";

/** How one factor of a product is read. */
interface Factor {
  readonly value: Value;
  /** Whether its last two axes are swapped. */
  readonly swapped: boolean;
  /** Whether its rows stand before the batch axes, `[rows, batch…, columns]`. */
  readonly rowsFirst: boolean;
}

function factorsOf(node: GraphNode): { a: Factor; b: Factor; alpha: number } {
  const factor = (index: number, name: string): Factor => ({
    value: inputOf(node, index),
    swapped: intOf(node, `trans${name}`, 0) === 1,
    rowsFirst: intOf(node, `transBatch${name}`, 0) === 1,
  });
  return { a: factor(0, "A"), b: factor(1, "B"), alpha: floatOf(node, "alpha", 1) };
}

/** Shape of a factor as it is multiplied: batch axes, rows, columns. */
function readShape({ shape }: Known, { value, swapped, rowsFirst }: Factor): Shape {
  const [first = 1, ...others] = shape(value);
  const inOrder = rowsFirst
    ? [...others.slice(0, -1), first, ...others.slice(-1)]
    : [first, ...others];
  const [rows = 1, columns = 1] = inOrder.slice(-2);
  return [...inOrder.slice(0, -2), ...(swapped ? [columns, rows] : [rows, columns])];
}

function multiply(step: BackwardStep, a: Factor, b: Factor, alpha: number): Value {
  return step.graph.op("FusedMatMul", [a.value, b.value], {
    domain: MICROSOFT,
    attributes: {
      transA: { int: Number(a.swapped) },
      transB: { int: Number(b.swapped) },
      transBatchA: { int: Number(a.rowsFirst) },
      transBatchB: { int: Number(b.rowsFirst) },
      alpha: { float: alpha },
    },
  });
}

const swap = (factor: Factor): Factor => ({ ...factor, swapped: !factor.swapped });

/** What `factor` receives, in the order in which it lies: the product with `left` and `right`. */
function contribution(
  step: BackwardStep,
  factor: Factor,
  [left, right]: readonly [Factor, Factor],
  alpha: number,
): Value {
  const product = factor.swapped
    ? multiply(step, swap(right), swap(left), alpha)
    : multiply(step, left, right, alpha);
  const rank = step.known.shape(factor.value).length;
  if (!factor.rowsFirst || rank < 3) return product;
  const perm = [rank - 2, ...Array.from({ length: rank - 2 }, (_, axis) => axis), rank - 1];
  return step.graph.op("Transpose", [product], { attributes: { perm: { ints: perm } } });
}

/** Rows of all batches under each other. */
function flat({ graph }: BackwardStep, factor: Factor, shape: Shape): Factor {
  const columns = shape.at(-1);
  if (typeof columns !== "number" || factor.swapped || factor.rowsFirst) {
    throw new TypeError("Cannot differentiate a product of batches with one shared matrix");
  }
  const value = graph.op("Reshape", [factor.value, graph.integers([-1, columns])]);
  return { value, swapped: false, rowsFirst: false };
}

const product: Rule = {
  shapes(node, known) {
    const { a, b } = factorsOf(node);
    const [left, right] = [readShape(known, a), readShape(known, b)];
    return [[...left.slice(0, -1), right.at(-1) ?? 1]];
  },
  backward(step) {
    const { a, b, alpha } = factorsOf(step.node);
    const [left, right] = [readShape(step.known, a), readShape(step.known, b)];
    const shared = right.length === 2 && left.length > 2;
    if (left.length < 2 || (right.length !== left.length && !shared)) {
      throw new TypeError(
        `Cannot differentiate ${step.node.operator} of [${left.join(", ")}] and [${
          right.join(", ")
        }]: only equal batches, or one matrix for all`,
      );
    }
    const dy: Factor = { value: step.gradient, swapped: false, rowsFirst: false };
    const byA = () => contribution(step, a, [dy, swap(b)], alpha);
    const byB = () =>
      shared
        ? contribution(step, b, [
          swap(flat(step, a, left)),
          flat(step, dy, [...left.slice(0, -1), right[1] ?? 1]),
        ], alpha)
        : contribution(step, b, [swap(a), dy], alpha);
    return [step.wants(0) ? byA() : undefined, step.wants(1) ? byB() : undefined];
  },
};

/** α·A·B + β·C. */
const gemm: Rule = {
  shapes: product.shapes,
  backward(step) {
    const { graph, known, node, gradient } = step;
    const factors = product.backward(step);
    if (!step.wants(2)) return factors;
    const beta = floatOf(node, "beta", 1);
    const scaled = beta === 1 ? gradient : graph.op("Mul", [gradient, scalar(graph, beta)]);
    const [made = []] = product.shapes(node, known);
    return [...factors, unbroadcast(step, scaled, made, inputOf(node, 2))];
  },
};

/** Matrix products. */
export const PRODUCTS: Rules = { MatMul: product, FusedMatMul: product, Gemm: gemm };
