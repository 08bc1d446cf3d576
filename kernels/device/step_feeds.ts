import { adapterFeeds, type AdapterTensor } from "../adapters.ts";
import { floats } from "../session.ts";
import type { StepModel } from "../step_model.ts";
import type { DeviceFeeds } from "./device.ts";
import { packedTokens } from "./packed_tokens.ts";
import type { SentOnce } from "./sent_once.ts";
import type { DeviceStepInputs } from "./step_kernel.ts";

/** What a step is fed. Disposing of it gives back what stays on the device. */
export interface StepFeeds extends Disposable {
  readonly feeds: DeviceFeeds;
}

/**
 * What both step graphs are fed. Trained tokens and adapters are the same each time and stay where they are
 * used.
 *
 * @param adapters Tensors of the graph's adapters, if it has any.
 */
export async function stepFeeds(
  { hidden, headDim }: StepModel,
  inputs: DeviceStepInputs,
  adapters: readonly AdapterTensor[],
  sentOnce: SentOnce,
): Promise<StepFeeds> {
  const { embeddings = new Float32Array(0) } = inputs;
  const soft = {
    embeddings: floats(embeddings, [embeddings.length / hidden, hidden]),
    ...adapterFeeds(adapters, inputs.adapters),
  };
  const lent = embeddings.length > 0 ? await sentOnce.lend(soft) : undefined;
  return {
    feeds: { ...packedTokens(inputs, headDim), ...(lent?.tensors ?? soft) },
    [Symbol.dispose]: () => lent?.[Symbol.dispose](),
  };
}
