import { leaving } from "../http/leaving.ts";
import type { Services } from "../http/services.ts";
import type { GenerationEvent } from "../scheduler/events.ts";
import type { GenerationRequest } from "../scheduler/request.ts";

/** A request that was accepted, and what will happen to it. */
export interface Running {
  readonly promptTokens: number;
  /** All events behind `accepted`. */
  readonly events: AsyncIterableIterator<GenerationEvent>;
  /** Ends it at once. */
  readonly cancel: () => void;
}

/**
 * Submits a request and waits until it is accepted, so that what is wrong with it can still have a
 * status of its own.
 *
 * @param left Aborts when the client leaves.
 * @throws What the scheduler refuses it with.
 */
export async function run(
  { scheduler, metrics }: Services,
  request: GenerationRequest,
  left: AbortSignal,
): Promise<Running> {
  const { signal, leave } = leaving(left);
  const events = metrics.watch(scheduler.submit({ ...request, signal }));
  const first = await events.next();
  const promptTokens = !first.done && first.value.kind === "accepted"
    ? first.value.promptTokens
    : 0;
  return { promptTokens, events, cancel: leave };
}
