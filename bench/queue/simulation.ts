import process from "node:process";
import { fileURLToPath } from "node:url";
import { queueAddress } from "../../queue/address.ts";
import { connect } from "../../queue/connection.ts";
import { submit } from "../../queue/submit.ts";
import { startServer } from "./server.ts";
import { RECORD, SLEEPING_RUN, sleepingJobs } from "./sleeping_run.ts";

/** How workers that sleep got on. */
export interface Simulated {
  readonly seconds: number;
  /** Jobs a second that such workers would do if the queue took no time. */
  readonly ideal: number;
  readonly perSecond: number;
  /** Bytes that the server held at most. */
  readonly serverBytes: number;
  /** Processor milliseconds of the server for a job, the workers' asking included. */
  readonly serverMilliseconds: number;
  /** Processor milliseconds of the submitter for a job. */
  readonly submitterMilliseconds: number;
  /** Bytes of this process, the submitter. */
  readonly submitterBytes: number;
}

/** Workers in one process: more of them would wait for its one thread. */
const PER_PROCESS = 50;

const WORKERS = fileURLToPath(new URL("./sleeping_workers.ts", import.meta.url));

/** Puts jobs through workers that sleep. */
export async function simulate(
  { workers, jobs, sleep }: {
    readonly workers: number;
    readonly jobs: number;
    /** Milliseconds of a job. */
    readonly sleep: number;
  },
): Promise<Simulated> {
  await using server = await startServer();
  await using processes = new AsyncDisposableStack();
  const starting: Promise<unknown>[] = [];
  for (let rest = workers; rest > 0; rest -= PER_PROCESS) {
    const count = Math.min(rest, PER_PROCESS);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", WORKERS, server.url, `${count}`, `${sleep}`],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    processes.defer(async () => {
      child.kill("SIGKILL");
      await reader.cancel();
      await child.status;
    });
    const reader = child.stdout.getReader();
    starting.push(reader.read());
  }
  await Promise.all(starting);
  const address = queueAddress(server.url);
  const own = process.cpuUsage();
  let first = 0;
  let taken = 0;
  let most = 0;
  const start = performance.now();
  await submit({
    ...{ address, run: SLEEPING_RUN, jobs: sleepingJobs(jobs), result: RECORD, patience: 60_000 },
    now: () => performance.now(),
    take() {
      if (taken++ === 0) first = performance.now();
      most = Math.max(most, taken % 100 === 0 ? Deno.memoryUsage().rss : 0);
      return Promise.resolve();
    },
  });
  const end = performance.now();
  const client = await connect(address);
  const info = await client.info();
  client.disconnect();
  const told = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, "m").exec(info)?.[1]);
  const { user, system } = process.cpuUsage(own);
  return {
    seconds: (end - start) / 1000,
    ideal: sleep === 0 ? Infinity : workers * 1000 / sleep,
    // The first results come together, after the first sleep.
    perSecond: (jobs - workers) * 1000 / (end - first),
    serverBytes: told("used_memory_peak"),
    serverMilliseconds: 1000 * (told("used_cpu_user") + told("used_cpu_sys")) / jobs,
    submitterMilliseconds: (user + system) / 1000 / jobs,
    submitterBytes: most,
  };
}
