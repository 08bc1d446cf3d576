import type { Measurement } from "../measurement.ts";

/** What samples are measured with; the whole cache is always measured too. */
export interface SampleMeasurement extends Measurement {
  /** Milliseconds, to measure phases with. */
  readonly now: () => number;
}
