import type { ModelFacts, SoftTokens } from "../../policies/policy.ts";

/** One soft token of two numbers. */
export const fakeTokens: SoftTokens = {
  count: 1,
  hidden: 2,
  embeddings: new Float32Array([1, 2]),
  trained: true,
};

/** Facts about a model that reads nothing unless told otherwise. */
export function fakeFacts(facts: Partial<ModelFacts> = {}): ModelFacts {
  return {
    hidden: 64,
    layers: 1,
    fingerprint: "abc",
    identity: "def",
    embeddingRms: 0.25,
    readSoftTokens: () => Promise.reject(new Error("nothing to read")),
    ...facts,
  };
}
