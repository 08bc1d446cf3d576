import { cast } from "../onnx/cast.ts";
import type { GraphBuilder, Value } from "../onnx/graph.ts";
import type { RotaryRows } from "../rope.ts";
import { rotaryNames } from "../rotary_inputs.ts";
import { floats, integers, type Tensor } from "../session.ts";
import type { StepModel } from "../step_model.ts";

/** What a step is told of its new tokens. */
export interface StepTokens {
  /** Token ids; soft tokens follow them. */
  readonly ids: readonly number[];
  /** Rotary tables of all new tokens, one for each of the model's ropes. */
  readonly rotary: readonly RotaryRows[];
  /** New tokens whose logits are wanted, from 0: no more than there are tokens. */
  readonly rows: readonly number[];
}

/** What tables are packed for. */
export type PackedShape = Pick<StepModel, "headDim" | "ropes">;

/** New tokens of a step. */
export function newTokens({ rotary }: Pick<StepTokens, "rotary">, headDim: number): number {
  return (rotary[0]?.cos.length ?? 0) / (headDim / 2);
}

/**
 * All that a step is told of its tokens in one array, a row for each: cosines and sines of each rope, the
 * token's id, and in the first rows the tokens whose logits are wanted. One array instead of many: each
 * is a transfer of its own.
 */
export function packedTokens(
  { ids, rotary, rows }: StepTokens,
  headDim: number,
): Readonly<Record<"tokens" | "given" | "rows", Tensor>> {
  const tokens = newTokens({ rotary }, headDim);
  const tables = headDim * rotary.length;
  const packed = new Float32Array(tokens * (tables + 2));
  for (let token = 0; token < tokens; token++) {
    const at = token * (tables + 2);
    packTables(rotary, token, headDim / 2, packed.subarray(at, at + tables));
    packed[at + tables] = ids[token] ?? 0;
    packed[at + tables + 1] = rows[token] ?? 0;
  }
  return {
    tokens: floats(packed, [tokens, tables + 2]),
    given: integers([ids.length]),
    rows: integers([rows.length]),
  };
}

/** The only token of a decoding step, packed: its tables and its id, `[1, ropes · headDim + 1]`. */
export function packedToken(
  { ids, rotary }: Pick<StepTokens, "ids" | "rotary">,
  headDim: number,
): Tensor {
  const tables = headDim * rotary.length;
  const packed = new Float32Array(tables + 1);
  packTables(rotary, 0, headDim / 2, packed);
  packed[tables] = ids[0] ?? 0;
  return floats(packed, [1, tables + 1]);
}

function packTables(
  rotary: readonly RotaryRows[],
  token: number,
  half: number,
  into: Float32Array,
): void {
  let at = 0;
  for (const table of rotary.flatMap(({ cos, sin }) => [cos, sin])) {
    into.set(table.subarray(token * half, (token + 1) * half), at);
    at += half;
  }
}

/**
 * Declares the inputs `tokens`, `given` (how many ids there are) and `rows`, and takes them apart: the
 * rotary tables under the names that layers read them by, in the type that layers compute with.
 */
export function unpackTokens(
  plain: GraphBuilder,
  shape: PackedShape,
  half: boolean,
): { readonly ids: Value; readonly rows: Value } {
  plain.input("tokens", "float32", ["T", tableWidth(shape) + 2]);
  plain.input("given", "int64", [1]);
  plain.input("rows", "int64", [1]);
  splitColumns(plain, "tokens", shape, half, ["id_column", "row_column"]);
  // Floats are cut, not whole numbers, which onnxruntime would bring to the processor for that. Numbers
  // below 2²⁴ are exact as 32-bit floats: no vocabulary comes near.
  const leading = (column: Value, count: Value): Value => {
    const cut = plain.op("Slice", [column, plain.integers([0]), count, plain.integers([0])]);
    const whole = cast(plain, cut, "int32");
    return plain.op("Reshape", [whole, plain.integers([-1])]);
  };
  return { ids: leading("id_column", "given"), rows: leading("row_column", "rows") };
}

/** Declares the input `token` and takes it apart, see {@linkcode packedToken}. Gives its id, `[1]`. */
export function unpackToken(plain: GraphBuilder, shape: PackedShape, half: boolean): Value {
  plain.input("token", "float32", [1, tableWidth(shape) + 1]);
  splitColumns(plain, "token", shape, half, ["id_column"]);
  return plain.op("Reshape", [cast(plain, "id_column", "int32"), plain.integers([1])]);
}

function tableWidth({ headDim, ropes }: PackedShape): number {
  return headDim * ropes.length;
}

function splitColumns(
  plain: GraphBuilder,
  packed: Value,
  { headDim, ropes }: PackedShape,
  half: boolean,
  columns: readonly Value[],
): void {
  const tables = [...ropes.keys()].flatMap((rope) => [...rotaryNames(rope)]);
  const exact = half ? tables.map((name) => `${name}_32`) : tables;
  const sizes = [...tables.map(() => headDim / 2), ...columns.map(() => 1)];
  plain.ops("Split", [packed, plain.integers(sizes)], sizes.length, {
    names: [...exact, ...columns],
    attributes: { axis: { int: 1 } },
  });
  for (const name of half ? tables : []) cast(plain, `${name}_32`, "float16", [name]);
}
