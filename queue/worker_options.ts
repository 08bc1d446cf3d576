import type { QueueAddress } from "./address.ts";
import type { Store } from "./store/store.ts";

/** How a worker works. */
export interface WorkerOptions {
  readonly address: QueueAddress;
  /** What it is called in lists. */
  readonly name: string;
  /** Of kvjudge. */
  readonly version: string;
  /** Folder for models and converted weights. */
  readonly home: string;
  /** Models of this machine, for runs whose model has no name that every machine knows. */
  readonly models: readonly string[];
  /** Bytes that models may take. */
  readonly modelMemory: number;
  /** Jobs at a time, each with a model of its own. */
  readonly concurrency: number;
  /** Threads of each model. */
  readonly threads: number;
  /** Files and URLs that runs may name as policies. */
  readonly allowPolicies: readonly string[];
  readonly store?: Store | undefined;
  /** Milliseconds that a job is safe from others after its worker's last sign of life. */
  readonly lock: number;
  /** Milliseconds without jobs for it after which it ends. @default {it does not} */
  readonly untilIdle?: number | undefined;
  /** Milliseconds since some moment. */
  readonly now: () => number;
  readonly onNote: (text: string) => void;
  readonly signal: AbortSignal;
}
