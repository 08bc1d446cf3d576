import type { Dimension, GraphNode, Value } from "../../onnx/graph.ts";
import { axisOf, inputOf, intOf, scalar, wholeShape } from "../forward.ts";
import type { BackwardStep, Known, Rule, Rules, Shape } from "../rule.ts";

const END = Number.MAX_SAFE_INTEGER;

function replaced(shape: Shape, axis: number, size: Dimension): Shape {
  return shape.map((other, index) => index === axis ? size : other);
}

const split: Rule = {
  shapes(node, known) {
    const source = known.shape(inputOf(node, 0));
    const axis = axisOf(intOf(node, "axis", 0), source.length);
    return known.sizes(inputOf(node, 1)).map((size) => replaced(source, axis, size));
  },
  backward({ node, graph, known, gradients }) {
    const parts = node.outputs.map((output, index) =>
      gradients[index] ?? graph.op("Expand", [scalar(graph, 0), wholeShape(graph, known, output)])
    );
    return [
      graph.op("Concat", parts, { attributes: { axis: { int: intOf(node, "axis", 0) } } }),
    ];
  },
};

const concat: Rule = {
  shapes(node, known) {
    const shapes = node.inputs.map(known.shape);
    const [first = []] = shapes;
    const axis = axisOf(intOf(node, "axis", 0), first.length);
    const sizes = shapes.map((shape) => shape[axis] ?? 0);
    const fixed = sizes.filter((size) => typeof size === "number");
    const whole = fixed.length === sizes.length
      ? fixed.reduce((sum, size) => sum + size, 0)
      : sizes.join("+");
    return [replaced(first, axis, whole)];
  },
  backward(step) {
    const { node, graph, known, gradient } = step;
    const rank = known.shape(inputOf(node, 0)).length;
    const axis = axisOf(intOf(node, "axis", 0), rank);
    return node.inputs.map((_, index) => {
      if (!step.wants(index)) return undefined;
      const [from, to] = rangeOf(step, axis, index);
      return graph.op("Slice", [gradient, from, to, graph.integers([axis])]);
    });
  },
};

/** Where an input lies in what it was joined into: counted from the end where that is known. */
function rangeOf(
  { node, graph, known }: BackwardStep,
  axis: number,
  index: number,
): [Value, Value] {
  const sizes = node.inputs.map((input) => known.shape(input)[axis]);
  const total = (parts: readonly (Dimension | undefined)[]) =>
    parts.reduce<number>((sum, size) => typeof size === "number" ? sum + size : NaN, 0);
  const size = total(sizes.slice(index, index + 1));
  const [before, after] = [total(sizes.slice(0, index)), total(sizes.slice(index + 1))];
  const edge = (fromStart: number, fromEnd: number): Value | undefined => {
    if (!Number.isNaN(fromStart)) return graph.integers([fromStart]);
    if (Number.isNaN(fromEnd)) return undefined;
    return graph.integers([fromEnd === 0 ? END : -fromEnd]);
  };
  const from = edge(before, size + after);
  const to = edge(before + size, after);
  if (from === undefined || to === undefined) {
    throw new TypeError(
      `Cannot differentiate Concat: the place of input ${index} depends on several open sizes`,
    );
  }
  return [from, to];
}

/** The start and end of each axis that a slice cuts, and its size before. */
function cutsOf(node: GraphNode, known: Known) {
  const source = known.shape(inputOf(node, 0));
  const starts = known.integers(inputOf(node, 1));
  const ends = known.integers(inputOf(node, 2));
  const axes = node.inputs[3] ? known.integers(inputOf(node, 3)) : starts.map((_, axis) => axis);
  const steps = node.inputs[4] ? known.integers(inputOf(node, 4)) : starts.map(() => 1);
  if (steps.some((step) => step !== 1)) {
    throw new TypeError("Cannot differentiate Slice: only steps of 1");
  }
  return axes.map((given, index) => {
    const axis = axisOf(given, source.length);
    const size = source[axis] ?? 1;
    return { axis, size, ...lostNumbers(size, starts[index] ?? 0, ends[index] ?? END) };
  });
}

/** How many numbers of an axis a slice leaves out before and after what it takes. */
function lostNumbers(
  size: Dimension,
  start: number,
  end: number,
): { before: number; after: number } {
  if (typeof size === "number") {
    const inside = (at: number) => Math.min(Math.max(at < 0 ? at + size : at, 0), size);
    return { before: inside(start), after: size - inside(end) };
  }
  const toEnd = end >= 2 ** 31 - 1;
  if (start < 0 || (end >= 0 && !toEnd)) {
    throw new TypeError(
      `Cannot differentiate Slice: of an open size, cut ${start} to ${end}, only a start from the front and an end from the back are known`,
    );
  }
  return { before: start, after: toEnd ? 0 : -end };
}

const slice: Rule = {
  shapes(node, known) {
    let shape: Shape = known.shape(inputOf(node, 0));
    for (const { axis, size, before, after } of cutsOf(node, known)) {
      const lost = before + after;
      shape = replaced(
        shape,
        axis,
        typeof size === "number" ? size - lost : shorter(size, lost),
      );
    }
    return [shape];
  },
  backward({ node, graph, known, gradient }) {
    const cuts = cutsOf(node, known);
    const pads = [
      ...cuts.map(({ before }) => before),
      ...cuts.map(({ after }) => after),
    ];
    const axes = graph.integers(cuts.map(({ axis }) => axis));
    return [graph.op("Pad", [gradient, graph.integers(pads), "", axes])];
  },
};

function shorter(size: string, lost: number): Dimension {
  if (lost === 0) return size;
  const end = `+${lost}`;
  return size.endsWith(end) ? size.slice(0, -end.length) : `${size}-${lost}`;
}

/** Rows by their numbers; rows that are taken twice receive both gradients. */
const gather: Rule = {
  shapes(node, { shape }) {
    const rows = shape(inputOf(node, 0));
    if (axisOf(intOf(node, "axis", 0), rows.length) !== 0) {
      throw new TypeError("Cannot differentiate Gather: only along the first axis");
    }
    return [[...shape(inputOf(node, 1)), ...rows.slice(1)]];
  },
  backward({ node, graph, known, gradient }) {
    const [rows, indices] = [inputOf(node, 0), inputOf(node, 1)];
    const none = graph.op("Expand", [scalar(graph, 0), wholeShape(graph, known, rows)]);
    const places = graph.op("Unsqueeze", [indices, graph.integers([-1])]);
    return [
      graph.op("ScatterND", [none, places, gradient], {
        attributes: { reduction: { text: "add" } },
      }),
    ];
  },
};

/** Operators that take values apart and join them. */
export const PARTS: Rules = { Concat: concat, Gather: gather, Slice: slice, Split: split };
