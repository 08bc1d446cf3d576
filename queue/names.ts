/** What all keys in the server begin with. */
export const PREFIX = "kvjudge";

/** Hash of all runs by their names. */
export const RUNS = `${PREFIX}:runs`;

/** Hash of how far runs are, by their names: "done/total". */
export const PROGRESS = `${PREFIX}:progress`;

/** Set of the workers that were seen. */
export const WORKERS = `${PREFIX}:workers`;

/** What a worker says of itself; vanishes when it does. */
export const workerKey = (id: string) => `${PREFIX}:worker:${id}`;

/** Is there for a while after somebody has emptied a run. */
export const drainedKey = (run: string) => `${PREFIX}:drained:${run}`;
