import type { EvictionDefaults } from "../policies/eviction.ts";
import type { PolicyPermit } from "../policies/permit.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import type { Readiness } from "./readiness.ts";
import type { ServerMetrics } from "./metrics.ts";

/** What handlers work with. Time and randomness come from outside. */
export interface Services {
  readonly scheduler: Scheduler;
  readonly metrics: ServerMetrics;
  readonly readiness: () => Readiness;
  /** Eviction where a request says nothing. */
  readonly eviction: EvictionDefaults;
  /** Which policies requests may name. */
  readonly permit: PolicyPermit;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** A part of an id that no other reply has. */
  readonly newId: () => string;
  /** A seed for a request without one. */
  readonly newSeed: () => number;
  /** Milliseconds without an event after which a stream sends a comment. */
  readonly keepAlive: number;
  readonly version: string;
  /** Gets errors that are the server's own fault. */
  readonly log: (error: unknown) => void;
}
