import type { Evidence, Policy } from "../../policies/policy.ts";
import type { Observation } from "../engine/prefill.ts";
import { PolicyError } from "../errors.ts";

/**
 * What must be observed while the prompt is read.
 *
 * @throws {PolicyError} If the policy asks for a window without tokens.
 */
export function observationFor(evidence: Evidence): Observation {
  switch (evidence.kind) {
    case "window":
      return [windowSize(evidence.size)];
    case "lookahead": {
      const ofDraft = observationFor(evidence.draft.evidence);
      const sizes = [
        ...(ofDraft === "none" ? [] : ofDraft),
        ...(evidence.window === undefined ? [] : [windowSize(evidence.window)]),
      ];
      return sizes.length > 0 ? [...new Set(sizes)] : "none";
    }
    case "accumulated":
      return [Infinity];
    case "none":
    case "soft":
    case "given":
    case "statistics":
      return "none";
  }
}

function windowSize(size: number): number {
  if (Number.isInteger(size) && size >= 1) return size;
  throw new PolicyError(
    "Cannot gather evidence: the size of the policy's window must be an integer of at least 1, " +
      `got ${size}`,
  );
}

/** What must be observed for several policies. */
export function observationForAll(policies: readonly Pick<Policy, "evidence">[]): Observation {
  const windows = policies.flatMap(({ evidence }) => {
    const observation = observationFor(evidence);
    return observation === "none" ? [] : observation;
  });
  return windows.length === 0 ? "none" : [...new Set(windows)];
}
