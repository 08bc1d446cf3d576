import { floats } from "../session.ts";
import type { StepModel } from "../step_model.ts";
import { packedTokens } from "./packed_tokens.ts";
import type { DeviceStepInputs } from "./step_kernel.ts";

/** What both step graphs are fed. */
export function stepFeeds({ hidden, headDim }: StepModel, inputs: DeviceStepInputs) {
  const { embeddings = new Float32Array(0) } = inputs;
  return {
    ...packedTokens(inputs, headDim),
    embeddings: floats(embeddings, [embeddings.length / hidden, hidden]),
  };
}
