import type { Evidence, ModelFacts, SoftTokens } from "../../policies/policy.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";
import { adapterShape } from "../soft_tokens/adapters.ts";
import { resolveSoftTokens } from "../soft_tokens/read.ts";

/**
 * The soft tokens that evidence needs. To be asked before a prompt is read, so that a file that does
 * not fit costs no reading.
 *
 * @throws {CheckpointError} If they do not fit the model.
 */
export async function softTokensFor(
  evidence: Evidence,
  facts: ModelFacts,
  config: ModelConfig,
): Promise<SoftTokens | undefined> {
  if (evidence.kind !== "soft") return undefined;
  const tokens = await resolveSoftTokens(evidence.tokens, facts);
  if (tokens.adapters) adapterShape(tokens.adapters, config);
  return tokens;
}
