import type { StepModel } from "./step_model.ts";

/** Layers in which attention can be observed: the global ones. */
export function observedLayers({ layers, layerKinds }: StepModel): readonly number[] {
  return [...layers.keys()].filter((layer) => layerKinds[layer]?.window === undefined);
}
