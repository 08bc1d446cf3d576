/**
 * Workers that sleep in place of computing, in one process: `sleeping_workers.ts URL COUNT MILLISECONDS`.
 *
 * @module
 */
import { queueAddress } from "../../queue/address.ts";
import { openJobs } from "../../queue/jobs_of_run.ts";
import { runName } from "../../queue/run.ts";
import { newTally } from "../../queue/worker_tally.ts";
import { SLEEPING_RUN, sleptRecord } from "./sleeping_run.ts";

const [url = "", count = "1", milliseconds = "0"] = Deno.args;
const record = sleptRecord();
const prepared = {
  async work() {
    if (milliseconds !== "0") {
      await new Promise((resolve) => setTimeout(resolve, Number(milliseconds)));
    }
    return record;
  },
  [Symbol.asyncDispose]: () => Promise.resolve(),
};
for (let at = 0; at < Number(count); at++) {
  openJobs(runName(SLEEPING_RUN), prepared, {
    ...{
      address: queueAddress(url),
      name: `sleeper-${at}`,
      version: "bench",
      home: "",
      models: [],
    },
    ...{ modelMemory: Infinity, concurrency: 1, threads: 1, allowPolicies: [], lock: 30_000 },
    ...{ now: () => performance.now(), onNote: () => {} },
    signal: new AbortController().signal,
  }, newTally());
}
console.log("ready");
