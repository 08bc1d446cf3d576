import type { Value } from "./onnx/graph.ts";

/** Names of what a sequence of a step has cached. The first one's are those of every step. */
export function sequenceNames(sequence: number): {
  readonly keys: (layer: number) => Value;
  readonly values: (layer: number) => Value;
  /** Of what it has afterwards, in layers that grow in place. */
  readonly presentKeys: (layer: number) => Value;
  readonly presentValues: (layer: number) => Value;
} {
  const of = sequence === 0 ? "" : `.${sequence}`;
  return {
    keys: (layer) => `past_keys.${layer}${of}`,
    values: (layer) => `past_values.${layer}${of}`,
    presentKeys: (layer) => `present_keys.${layer}${of}`,
    presentValues: (layer) => `present_values.${layer}${of}`,
  };
}
