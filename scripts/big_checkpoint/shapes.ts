/** Sizes of a Llama. */
export interface BigShape {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly intermediate: number;
  readonly vocabulary: number;
  readonly context: number;
}

/** A matrix or vector of a shape, under its Hugging Face name. */
export interface BigTensor {
  readonly name: string;
  /** One size: a norm, all ones. */
  readonly shape: readonly number[];
}

/** Shapes by name. */
export const SHAPES: Readonly<Record<string, BigShape>> = {
  "8b": {
    ...{ layers: 32, hidden: 4096, heads: 32, kvHeads: 8, intermediate: 14_336 },
    ...{ vocabulary: 128_256, context: 131_072 },
  },
  "1.3b": {
    ...{ layers: 24, hidden: 2048, heads: 32, kvHeads: 8, intermediate: 5632 },
    ...{ vocabulary: 32_000, context: 65_536 },
  },
  "tiny": {
    ...{ layers: 3, hidden: 128, heads: 4, kvHeads: 2, intermediate: 256 },
    ...{ vocabulary: 512, context: 65_536 },
  },
};

/** All tensors of a shape, in the order of the file. */
export function tensorsOf(shape: BigShape): BigTensor[] {
  const { hidden, heads, kvHeads, intermediate, vocabulary } = shape;
  const keys = hidden / heads * kvHeads;
  const tensors: BigTensor[] = [
    { name: "model.embed_tokens.weight", shape: [vocabulary, hidden] },
  ];
  for (let layer = 0; layer < shape.layers; layer++) {
    const add = (name: string, ...sizes: number[]) =>
      tensors.push({ name: `model.layers.${layer}.${name}.weight`, shape: sizes });
    add("input_layernorm", hidden);
    add("self_attn.q_proj", hidden, hidden);
    add("self_attn.k_proj", keys, hidden);
    add("self_attn.v_proj", keys, hidden);
    add("self_attn.o_proj", hidden, hidden);
    add("post_attention_layernorm", hidden);
    add("mlp.gate_proj", intermediate, hidden);
    add("mlp.up_proj", intermediate, hidden);
    add("mlp.down_proj", hidden, intermediate);
  }
  tensors.push({ name: "model.norm.weight", shape: [hidden] });
  tensors.push({ name: "lm_head.weight", shape: [vocabulary, hidden] });
  return tensors;
}

/** Numbers in a tensor. */
export function sizeOf({ shape }: BigTensor): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Numbers in all tensors. */
export function parametersOf(shape: BigShape): number {
  return tensorsOf(shape).reduce((sum, tensor) => sum + sizeOf(tensor), 0);
}
