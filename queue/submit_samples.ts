import type { MeasureElsewhere } from "../evaluation/run/benchmark_run.ts";
import { SAMPLE_RECORD, type SampleRecord } from "../evaluation/run/record.ts";
import { QueueError } from "./errors.ts";
import { type Submission, submit } from "./submit.ts";
import type { SamplesRun } from "./prepare_samples.ts";

/** What all samples of a run are submitted with. */
export interface SamplesSubmission
  extends Omit<Submission<SampleRecord>, "jobs" | "result" | "take" | "run"> {
  readonly run: SamplesRun;
}

/**
 * Measures samples through a queue.
 *
 * @throws {QueueError} As `submit` does, or if the benchmark measures nothing that other machines can.
 */
export function measureThroughQueue(submission: SamplesSubmission): MeasureElsewhere {
  return async (samples, take) => {
    const jobs = samples.map(({ id, elsewhere }) => {
      if (elsewhere) return { name: id, input: () => JSON.stringify(elsewhere.work) };
      throw new QueueError(`Cannot measure ${id} through a queue: it runs on this machine alone`);
    });
    await submit({
      ...submission,
      jobs,
      result: SAMPLE_RECORD,
      async take(place, record) {
        const sample = samples[place];
        if (!sample) return;
        if (record.id !== sample.id) {
          throw new QueueError(
            `Cannot use the result of ${sample.id}: it is that of ${record.id}; empty the run with ` +
              "kvjudge queue drain",
          );
        }
        await take(sample, record);
      },
    });
  };
}
