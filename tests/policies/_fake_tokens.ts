import { assert } from "@std/assert";
import type { ModelFacts, ScorerPolicy, SoftTokens } from "../../policies/policy.ts";

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
    readModelFile: () => Promise.reject(new Error("nothing to read")),
    ...facts,
  };
}

/** The soft tokens that a policy judges a model with. */
export async function softTokensOf(
  { evidence }: ScorerPolicy,
  facts: ModelFacts,
): Promise<SoftTokens> {
  assert(evidence.kind === "soft");
  return await evidence.tokens(facts);
}
