import type { Scheduler } from "../scheduler/scheduler.ts";

/** Whether requests can be answered. */
export type Readiness = "loading" | "ok" | "failed";

/** Follows whether a scheduler is ready. */
export function watchReadiness({ ready }: Pick<Scheduler, "ready">): () => Readiness {
  let state: Readiness = "loading";
  ready.then(() => state = "ok", () => state = "failed");
  return () => state;
}
