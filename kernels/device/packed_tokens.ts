import type { HeadShape } from "../attention_nodes.ts";
import { cast } from "../onnx/cast.ts";
import type { GraphBuilder, Value } from "../onnx/graph.ts";
import type { RotaryRows } from "../rope.ts";
import { floats, integers, type Tensor } from "../session.ts";

/** What a step is told of its new tokens. */
export interface StepTokens {
  /** Token ids; soft tokens follow them. */
  readonly ids: readonly number[];
  /** Rotary tables of all new tokens. */
  readonly rotary: RotaryRows;
  /** New tokens whose logits are wanted, from 0: no more than there are tokens. */
  readonly rows: readonly number[];
}

/**
 * All that a step is told of its tokens in one array, a row for each: cosines, sines, the token's id, and
 * in the first rows the tokens whose logits are wanted. One array instead of four: each is a transfer of
 * its own.
 */
export function packedTokens(
  { ids, rotary: { cos, sin }, rows }: StepTokens,
  headDim: number,
): Readonly<Record<"tokens" | "given" | "rows", Tensor>> {
  const half = headDim / 2;
  const tokens = cos.length / half;
  const width = headDim + 2;
  const packed = new Float32Array(tokens * width);
  for (let token = 0; token < tokens; token++) {
    const at = token * width;
    packed.set(cos.subarray(token * half, (token + 1) * half), at);
    packed.set(sin.subarray(token * half, (token + 1) * half), at + half);
    packed[at + headDim] = ids[token] ?? 0;
    packed[at + headDim + 1] = rows[token] ?? 0;
  }
  return {
    tokens: floats(packed, [tokens, width]),
    given: integers([ids.length]),
    rows: integers([rows.length]),
  };
}

/**
 * Declares the inputs `tokens`, `given` (how many ids there are) and `rows`, and takes them apart: `cos` and `sin` under these names, in the
 * type that the layers compute with.
 */
export function unpackTokens(
  plain: GraphBuilder,
  { headDim }: HeadShape,
  half: boolean,
): { readonly ids: Value; readonly rows: Value } {
  plain.input("tokens", "float32", ["T", headDim + 2]);
  plain.input("given", "int64", [1]);
  plain.input("rows", "int64", [1]);
  const sizes = [headDim / 2, headDim / 2, 1, 1];
  const names = half ? ["cos_32", "sin_32", "id_column", "row_column"] : [
    ...["cos", "sin", "id_column", "row_column"],
  ];
  plain.ops("Split", ["tokens", plain.integers(sizes)], 4, {
    names,
    attributes: { axis: { int: 1 } },
  });
  for (const name of half ? ["cos", "sin"] : []) {
    cast(plain, `${name}_32`, "float16", [name]);
  }
  // Floats are cut, not whole numbers, which onnxruntime would bring to the processor for that. Numbers
  // below 2²⁴ are exact as 32-bit floats: no vocabulary comes near.
  const leading = (column: Value, count: Value): Value => {
    const cut = plain.op("Slice", [column, plain.integers([0]), count, plain.integers([0])]);
    const whole = cast(plain, cut, "int32");
    return plain.op("Reshape", [whole, plain.integers([-1])]);
  };
  return { ids: leading("id_column", "given"), rows: leading("row_column", "rows") };
}
