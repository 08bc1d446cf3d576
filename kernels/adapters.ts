import type { HeadShape } from "./attention_nodes.ts";
import { floats, type Tensor } from "./session.ts";

/** Products of a layer that an adapter can be added to, in the order in which they are applied. */
export const PROJECTIONS: readonly Projection[] = ["q", "k", "v", "o", "gate", "up", "down"];

/** A product of a layer. */
export type Projection = "q" | "k" | "v" | "o" | "gate" | "up" | "down";

/**
 * Which products have low-rank adapters, and of which rank.
 *
 * An adapted product is `x·W + (x·a)·b`; any scale is part of `b`.
 */
export interface AdapterShape {
  readonly rank: number;
  readonly projections: readonly Projection[];
}

/** Sizes that adapters depend on. */
export interface AdaptedModel extends HeadShape {
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: { readonly length: number };
}

/** Name and shape of an adapter tensor. */
export interface AdapterTensor {
  readonly name: string;
  readonly part: "a" | "b";
  readonly shape: readonly [rows: number, columns: number];
}

/** The two tensors of an adapted product. */
export interface AdapterPair {
  readonly layer: number;
  readonly projection: Projection;
  /** `[in, rank]`. */
  readonly a: AdapterTensor;
  /** `[rank, out]`. */
  readonly b: AdapterTensor;
}

/** Name of an adapter tensor, in files and among the inputs of graphs. */
export function adapterName(layer: number, projection: Projection, part: "a" | "b"): string {
  return `adapter.${layer}.${projection}.${part}`;
}

/** Rows that go into a product and come out of it, in numbers per token. */
export function projectionSize(
  { heads, kvHeads, headDim, hidden, intermediate }: Omit<AdaptedModel, "layers">,
  projection: Projection,
): { readonly inputs: number; readonly outputs: number } {
  switch (projection) {
    case "q":
      return { inputs: hidden, outputs: heads * headDim };
    case "k":
    case "v":
      return { inputs: hidden, outputs: kvHeads * headDim };
    case "o":
      return { inputs: heads * headDim, outputs: hidden };
    case "gate":
    case "up":
      return { inputs: hidden, outputs: intermediate };
    case "down":
      return { inputs: intermediate, outputs: hidden };
  }
}

/** Every adapted product of a model, layer by layer. */
export function adapterPairs(model: AdaptedModel, shape: AdapterShape): AdapterPair[] {
  const pairs: AdapterPair[] = [];
  for (let layer = 0; layer < model.layers.length; layer++) {
    for (const projection of PROJECTIONS) {
      if (!shape.projections.includes(projection)) continue;
      const { inputs, outputs } = projectionSize(model, projection);
      pairs.push({
        layer,
        projection,
        a: { name: adapterName(layer, projection, "a"), part: "a", shape: [inputs, shape.rank] },
        b: { name: adapterName(layer, projection, "b"), part: "b", shape: [shape.rank, outputs] },
      });
    }
  }
  return pairs;
}

/** Every adapter tensor of a model, by name. */
export function adapterTensors(model: AdaptedModel, shape: AdapterShape): AdapterTensor[] {
  return adapterPairs(model, shape).flatMap(({ a, b }) => [a, b]);
}

/**
 * Adapter tensors as inputs of a graph.
 *
 * @throws {TypeError} If one is missing or of another size than its shape.
 */
export function adapterFeeds(
  tensors: readonly AdapterTensor[],
  data: Readonly<Record<string, Float32Array>> = {},
): Record<string, Tensor> {
  return Object.fromEntries(tensors.map(({ name, shape }) => {
    const [rows, columns] = shape;
    const numbers = data[name];
    if (numbers?.length !== rows * columns) {
      throw new TypeError(
        `Cannot apply ${name}: expected ${rows} × ${columns} numbers, got ${
          numbers ? numbers.length : "none"
        }`,
      );
    }
    return [name, floats(numbers, shape)];
  }));
}

/**
 * Adapter tensors as inputs of a graph that takes them in any rank, those that are absent in rank 0,
 * where they add nothing.
 */
export function ranklessFeeds(
  tensors: readonly AdapterTensor[],
  data: Readonly<Record<string, Float32Array>> = {},
): Record<string, Tensor> {
  const none = new Float32Array(0);
  return Object.fromEntries(tensors.map(({ name, shape: [rows, columns], part }) => {
    const numbers = data[name] ?? none;
    return [
      name,
      floats(
        numbers,
        part === "a" ? [rows, numbers.length / rows] : [numbers.length / columns, columns],
      ),
    ];
  }));
}
