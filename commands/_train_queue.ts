import type { Store } from "../queue/store/store.ts";
import type { TargetsBy } from "../training/targets_phase.ts";
import { millisecondsOf, readQueue, type SubmitFlags } from "./_queue.ts";

/** How targets are made, here or elsewhere; a queue is looked at before any work is done. */
export async function readTargetsBy(
  flags: SubmitFlags,
  { store, onNote, ...given }: {
    readonly store: Store | undefined;
    readonly version: string;
    readonly now: () => number;
    readonly onNote: (text: string) => void;
  },
): Promise<TargetsBy> {
  if (flags.queue === undefined || store === undefined) {
    return (await import("../training/targets_phase.ts")).makeTargets;
  }
  const patience = millisecondsOf(flags.queueWait, "--queue-wait");
  const address = await readQueue(flags.queue, flags);
  const { checkQueue } = await import("../queue/connection.ts");
  const { targetsThroughQueue } = await import("../queue/submit_targets.ts");
  await checkQueue(address);
  return targetsThroughQueue({ ...given, address, store, patience, watch: { onNote } });
}
