import type { FamilyTensor, ModelFamily } from "./families/family.ts";

/** What follows the number of a layer in a tensor's name, and that number. */
const IN_LAYER = /^(?:model\.layers|blk)\.(\d+)\.(.*)$/;

/** Hugging Face name of a tensor; of one in a layer, with the layer's number. */
export function weightName(
  { huggingFace }: Pick<FamilyTensor, "huggingFace">,
  layer?: number,
): string {
  return `${layer === undefined ? "" : `model.layers.${layer}.`}${huggingFace}.weight`;
}

/** Hugging Face name of the bias that goes with a weight of that name. */
export function biasName(weight: string): string {
  return weight.replace(/weight$/, "bias");
}

/** Number of the layer that a tensor of either format belongs to, if it belongs to one. */
export function layerOf(name: string): number | undefined {
  const number = IN_LAYER.exec(name)?.[1];
  return number === undefined ? undefined : Number(number);
}

/** Translates GGUF names of a family to Hugging Face names; what has none stays as it is. */
export function huggingFaceNames(family: ModelFamily): (name: string) => string {
  const { embedding, finalNorm, output } = family;
  const outside = namesByGguf([embedding, finalNorm, output]);
  const inside = new Map([
    ...namesByGguf(Object.values(family.layer)),
    ...namesByGguf(family.fused ?? []),
  ]);
  return (name) => {
    const [, layer, part = ""] = IN_LAYER.exec(name) ?? [];
    if (layer === undefined) return outside.get(name) ?? name;
    const found = inside.get(part);
    return found === undefined ? name : `model.layers.${layer}.${found}`;
  };
}

function namesByGguf(
  tensors: readonly Pick<FamilyTensor, "gguf" | "huggingFace">[],
): ReadonlyMap<string, string> {
  return new Map(
    tensors.flatMap(({ gguf, huggingFace }) =>
      ["weight", "bias"].map((kind) => [`${gguf}.${kind}`, `${huggingFace}.${kind}`] as const)
    ),
  );
}
