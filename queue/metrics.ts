import type { Redis } from "npm:ioredis@6.0.0";
import { Counter, Gauge, Registry } from "npm:prom-client@15.1.3";
import { readStatus } from "./status.ts";
import type { WorkerTally } from "./worker_tally.ts";

/** Numbers for Prometheus. */
export interface QueueMetrics {
  /** All in Prometheus' text form. */
  text(): Promise<string>;
  readonly contentType: string;
}

/**
 * Numbers of a queue, and of a worker where one is given. They are read when somebody looks.
 *
 * @param client Of the queue; where its server is gone, its numbers are left out.
 */
export function queueMetrics(client: Redis, tally?: WorkerTally): QueueMetrics {
  const registry = new Registry();
  const registers = [registry];
  const jobs = new Gauge({
    name: "kvjudge_queue_jobs",
    help: "Jobs of a run by state: waiting, active, delayed, set_aside",
    labelNames: ["run", "title", "state"],
    registers,
  });
  const runs = new Gauge({
    name: "kvjudge_queue_run_results",
    help: "Results of a run that its submitter has, and all that it wants",
    labelNames: ["run", "title", "of"],
    registers,
  });
  const workers = new Gauge({
    name: "kvjudge_queue_workers",
    help: "Workers that live",
    registers,
  });
  const up = new Gauge({
    name: "kvjudge_queue_up",
    help: "1 if the queue's server can be reached",
    registers,
  });
  if (tally) {
    const counter = (name: string, help: string, read: (tally: WorkerTally) => number) =>
      new Counter({
        name: `kvjudge_worker_${name}`,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(read(tally));
        },
      });
    counter("jobs_done_total", "Jobs that this worker has done", ({ done }) => done);
    counter("jobs_failed_total", "Tries of this worker that failed", ({ failed }) => failed);
    counter("job_seconds_total", "Seconds that its tries took", ({ seconds }) => seconds);
    new Gauge({
      name: "kvjudge_worker_jobs_running",
      help: "Jobs under way in this worker",
      registers,
      collect() {
        this.set(tally.running);
      },
    });
  }
  const read = async () => {
    jobs.reset();
    runs.reset();
    up.set(client.status === "ready" ? 1 : 0);
    if (client.status !== "ready") return;
    const status = await readStatus(client);
    workers.set(status.workers.length);
    for (const { name, title, waiting, active, delayed, setAside, done, total } of status.runs) {
      const labels = { run: name, title };
      for (const [state, count] of Object.entries({ waiting, active, delayed })) {
        jobs.set({ ...labels, state }, count);
      }
      jobs.set({ ...labels, state: "set_aside" }, setAside.length);
      runs.set({ ...labels, of: "done" }, done);
      runs.set({ ...labels, of: "total" }, total);
    }
  };
  return {
    async text() {
      await read();
      return await registry.metrics();
    },
    contentType: registry.contentType,
  };
}
