import { cast } from "../onnx/cast.ts";
import type { GraphBuilder, Value } from "../onnx/graph.ts";
import { type DrawSettings, NEGLIGIBLE } from "../draw_settings.ts";
import { atLeast, beforeEach, likelierTokens } from "./likelier_tokens.ts";

/** Tokens among which one is drawn on a device. */
export const CANDIDATES = 128;

/** A device adds in 32 bits: what is decided by less than this is not certain. */
const MARGIN = 1e-5;

/** What a step of {@linkcode drawToken} is told, as columns of a plan. */
export const DRAW_COLUMNS = [
  ...["uniform", "temperature", "limit", "whole", "top_p", "least", "plain", "penalty"] as const,
] as const;

/** Whether a device can draw so: of more tokens than it has candidates, it cannot cut. */
export function canDraw({ topK }: DrawSettings): boolean {
  return topK <= CANDIDATES;
}

/** The numbers of {@linkcode DRAW_COLUMNS}. */
export function drawColumns(
  { temperature, topK, topP, minP, repetitionPenalty }: DrawSettings,
  uniform: number,
): readonly number[] {
  const whole = topK === 0;
  return [
    ...[uniform, temperature, whole ? CANDIDATES : topK, whole ? 1 : 0, topP],
    ...[Math.max(minP, NEGLIGIBLE), topP === 1 && minP <= NEGLIGIBLE ? 1 : 0, repetitionPenalty],
  ];
}

/** What a token is drawn from. */
export interface DrawInputs {
  /** Logits, filled up with what is never drawn, `[1, N]`. */
  readonly logits: Value;
  /** Numbers in them. */
  readonly size: number;
  /** 1 at tokens that were seen, `[1, N]`. */
  readonly seen: Value;
  /** Each a number, `[1, 1]`. */
  readonly settings: Readonly<Record<typeof DRAW_COLUMNS[number], Value>>;
}

/** A token, and whether main memory would have drawn it too. Numbers `[1, 1]`. */
export interface DrawnToken {
  readonly id: Value;
  readonly certain: Value;
}

/**
 * Draws a token as `createSampler` does, with the random number that it is given: penalty, temperature,
 * top-k, top-p, min-p, and then the first token, from the likeliest on, whose probability and those before
 * it exceed the number.
 *
 * Only the {@linkcode CANDIDATES} likeliest are looked at, and sums are of 32 bits. Where that may decide
 * otherwise than all tokens in 64 bits would, the token is not certain.
 */
export function drawToken(graph: GraphBuilder, inputs: DrawInputs): DrawnToken {
  const { settings, size } = inputs;
  const number = (value: number) => graph.constant(Float32Array.of(value), [1, 1]);
  const one = number(1);
  const yes = (truth: Value) => cast(graph, truth, "float32");
  const and = (...truths: readonly Value[]) =>
    truths.reduce((all, truth) => graph.op("Mul", [all, truth]));
  const reduced = (operator: string, values: Value, axis: number) =>
    graph.op(operator, [values, graph.integers([axis])], {
      attributes: { keepdims: { int: 1 } },
    });
  const logits = penalised(graph, inputs);
  const warm = graph.op("Greater", [settings.temperature, number(0)]);
  const temperature = graph.op("Where", [warm, settings.temperature, one]);
  const { values, ids, width } = likelierTokens(graph, logits, size, CANDIDATES);
  const best = reduced("ReduceMax", values, 1);
  const weightsOf = (of: Value) => {
    const weights = graph.op("Exp", [
      graph.op("Div", [graph.op("Sub", [of, best]), temperature]),
    ]);
    return graph.op("Mul", [weights, atLeast(graph, weights, number(NEGLIGIBLE))]);
  };
  const weights = weightsOf(values);
  // Ranks and, in the same product, what lies before each candidate.
  const before = beforeEach(graph, values, ids, width);
  const column = (row: Value) => graph.op("Reshape", [row, graph.integers([width, 1])]);
  const counted = graph.op("MatMul", [
    before,
    graph.op("Concat", [
      column(weights),
      graph.constant(new Float32Array(width).fill(1), [width, 1]),
    ], { attributes: { axis: { int: 1 } } }),
  ]);
  const [massColumn = "", rankColumn = ""] = graph.ops(
    "Split",
    [counted, graph.integers([1, 1])],
    2,
    { attributes: { axis: { int: 1 } } },
  );
  const row = (value: Value) => graph.op("Reshape", [value, graph.integers([1, width])]);
  const [mass, rank] = [row(massColumn), row(rankColumn)];
  const top = yes(graph.op("Less", [rank, settings.limit]));
  const topWeights = and(weights, top);
  const topMass = reduced("ReduceSum", topWeights, 1);
  const allMass = reduced("ReduceSum", weightsOf(logits), 1);
  const whole = graph.op("Greater", [settings.whole, number(0.5)]);
  const total = graph.op("Where", [whole, allMass, topMass]);
  const nucleus = graph.op("Mul", [settings.top_p, total]);
  const kept = and(
    top,
    yes(graph.op("Less", [mass, nucleus])),
    atLeast(graph, weights, settings.least),
  );
  const keptMass = reduced("ReduceSum", and(weights, kept), 1);
  // Where all candidates stay, tokens that are none may belong to them.
  const open = and(
    settings.whole,
    yes(graph.op("Greater", [reduced("ReduceSum", kept, 1), number(CANDIDATES - 0.5)])),
  );
  const isOpen = graph.op("Greater", [open, number(0.5)]);
  const sum = graph.op("Where", [isOpen, allMass, keptMass]);
  const target = graph.op("Mul", [settings.uniform, sum]);
  const begun = and(kept, yes(graph.op("Less", [mass, graph.op("Add", [target, number(1e-30)])])));
  const place = and(begun, graph.op("Add", [rank, one]));
  const drawn = graph.op("ArgMax", [place], {
    attributes: { axis: { int: 1 }, keepdims: { int: 0 } },
  });
  const at = graph.op("Reshape", [cast(graph, drawn, "int32"), graph.integers([1])]);
  const gathered = (of: Value) =>
    graph.op("Gather", [of, at], { attributes: { axis: { int: 1 } } });
  const coldest = reduced("ReduceMax", and(yes(graph.op("Less", [rank, number(0.5)])), ids), 1);
  const begins = gathered(mass);
  const margin = graph.op("Mul", [sum, number(MARGIN)]);
  const farAbove = (a: Value, b: Value) =>
    yes(graph.op("Greater", [graph.op("Sub", [a, b]), margin]));
  const ends = graph.op("Add", [begins, gathered(weights)]);
  // Nothing lies before the likeliest: no rounding there.
  const fromFirst = yes(graph.op("Less", [gathered(rank), number(0.5)]));
  const inside = and(
    graph.op("Max", [fromFirst, farAbove(target, begins)]),
    farAbove(ends, target),
    graph.op("Max", [graph.op("Sub", [one, open]), settings.plain]),
  );
  // The nucleus must not end within a hair of where a candidate begins.
  const hair = reduced(
    "ReduceMin",
    graph.op("Abs", [graph.op("Sub", [mass, nucleus])]),
    1,
  );
  const cut = graph.op("Max", [
    yes(graph.op("Greater", [hair, margin])),
    atLeast(graph, settings.top_p, one),
  ]);
  const sure = graph.op("Where", [warm, and(inside, cut), one]);
  return {
    id: graph.op("Where", [warm, gathered(ids), coldest]),
    certain: and(sure, isFinite(graph, best)),
  };
}

/** 1 where a number is one that weights can be made of. */
export function isFinite(graph: GraphBuilder, value: Value): Value {
  const largest = graph.constant(Float32Array.of(1e38), [1]);
  return cast(graph, graph.op("Less", [graph.op("Abs", [value]), largest]), "float32");
}

/** Logits of which those that were seen are less likely. */
function penalised(
  graph: GraphBuilder,
  { logits, seen, settings: { penalty } }: DrawInputs,
): Value {
  const zero = graph.constant(Float32Array.of(0), [1, 1]);
  const less = graph.op("Where", [
    graph.op("Greater", [logits, zero]),
    graph.op("Div", [logits, penalty]),
    graph.op("Mul", [logits, penalty]),
  ]);
  return graph.op("Where", [graph.op("Greater", [seen, zero]), less, logits]);
}
