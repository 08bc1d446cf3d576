import type { Evidence, LayerView, ScorerPolicy } from "../policies/policy.ts";

/** A policy that keeps the first tokens and remembers what it was shown. */
export interface ProbePolicy extends ScorerPolicy {
  /** Attention of each layer that was scored, in order. */
  readonly attention: Float32Array[];
  readonly views: LayerView[];
}

/** Makes a policy that shows a test the evidence that the runtime gathers. */
export function probePolicy(evidence: Evidence): ProbePolicy {
  const attention: Float32Array[] = [];
  const views: LayerView[] = [];
  return {
    name: "probe",
    evidence,
    attention,
    views,
    async score(layer) {
      views.push(layer);
      if (evidence.kind !== "none") attention.push(await layer.attention());
      const { kvHeads, length } = layer;
      return Float32Array.from({ length: kvHeads * length }, (_, index) => -(index % length));
    },
  };
}
