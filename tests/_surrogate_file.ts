import type { ModelFile } from "../policies/policy.ts";
import type { ModelConfig } from "../runtime/checkpoint/checkpoint.ts";

/** Width of the layer in between. */
const INNER = 5;

/**
 * Networks for `kvzap` of all layers of a checkpoint.
 *
 * @param isDeep Which have a layer in between.
 */
export function surrogateFile(
  { layers, hidden, kvHeads }: Pick<ModelConfig, "layers" | "hidden" | "kvHeads">,
  isDeep: (layer: number) => boolean,
): ModelFile {
  const tensor = (...shape: readonly number[]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const data = Float32Array.from({ length: count }, (_, at) => Math.sin(1 + at * 1.7 + count));
    return { shape, data };
  };
  const dense = (name: string, out: number, width: number) => [
    [`${name}.weight`, tensor(out, width)] as const,
    [`${name}.bias`, tensor(out)] as const,
  ];
  const tensors = Array.from({ length: layers }, (_, layer) =>
    isDeep(layer)
      ? [
        ...dense(`layers.${layer}.0`, INNER, hidden),
        ...dense(`layers.${layer}.2`, kvHeads, INNER),
      ]
      : dense(`layers.${layer}`, kvHeads, hidden)).flat();
  return { kind: "kvzap", tensors: Object.fromEntries(tensors) };
}
