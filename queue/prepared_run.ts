import type { DescribedModel } from "../runtime/describe_model.ts";
import type { WorkerOptions } from "./worker_options.ts";

/** A job as the engine hands it over. */
export interface GivenJob {
  readonly id: string;
  readonly data: unknown;
}

/** A run that a worker is ready for. Owns its models. */
export interface PreparedRun extends AsyncDisposable {
  /** Works on a job; its result goes into the queue. */
  work(job: GivenJob, signal: AbortSignal): Promise<object>;
}

/** What a run is prepared with, once its model is found. */
export interface Preparation extends WorkerOptions {
  readonly name: string;
  readonly runName: string;
  readonly described: DescribedModel;
}
