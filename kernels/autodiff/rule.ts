import type { Dimension, GraphBuilder, GraphNode, Value } from "../onnx/graph.ts";

/** Sizes of a value; names stand for sizes that are known when the graph runs. */
export type Shape = readonly Dimension[];

/** What is known of a forward graph before it runs. */
export interface Known {
  /** @throws {TypeError} If the shape cannot be told, naming the operator. */
  shape(value: Value): Shape;
  /**
   * Numbers of a constant list.
   *
   * @throws {TypeError} If the value is not a constant of 64-bit integers.
   */
  integers(value: Value): readonly number[];
  /**
   * A list of sizes: a constant, sizes of a value, or some of each.
   *
   * @throws {TypeError} If the value is none of these.
   */
  sizes(value: Value): Shape;
}

/**
 * The gradient that an input receives from one node.
 *
 * It has the input's shape; a `narrow` one has size 1 where the input is wider, and stands for the
 * same number all along those axes.
 */
export type Contribution = Value | { readonly narrow: Value };

/** One forward node on the way back. */
export interface BackwardStep {
  readonly node: GraphNode;
  /** Where the nodes of the backward pass go. They see the forward values by name. */
  readonly graph: GraphBuilder;
  readonly known: Known;
  /** Gradient of each output; absent where the loss does not depend on it. */
  readonly gradients: readonly (Value | undefined)[];
  /** Gradient of the first output. */
  readonly gradient: Value;
  /** Whether an input has anything to do with what is differentiated by. */
  wants(input: number): boolean;
}

/** Shapes and derivative of an operator. */
export interface Rule {
  /** Shapes of the outputs. */
  shapes(node: GraphNode, known: Known): readonly Shape[];
  /** What each input receives; only wanted inputs count, and need not be there otherwise. */
  backward(step: BackwardStep): readonly (Contribution | undefined)[];
}

/** Rules by the name of the operator. */
export type Rules = Readonly<Record<string, Rule>>;
