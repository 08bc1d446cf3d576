import type { Redis } from "npm:ioredis@6.0.0";
import type { QueueStatus } from "../queue/status.ts";
import { note, write } from "./_output.ts";
import { QUEUE_WORDS, type QueueFlags, readQueue } from "./_queue.ts";
import { bareCommand, type Subcommand } from "./_subcommand.ts";
import { table } from "./_table.ts";

interface Flags extends QueueFlags {
  readonly queue: string;
}

/** `kvjudge queue`: what a queue holds. */
export function queueCommand(): Subcommand {
  const command = bareCommand();
  command
    .name("kvjudge queue")
    .description("Shows and mends a queue of samples and targets.")
    .action(() => command.showHelp());
  command.command("status", statusCommand());
  command.command("retry", retryCommand());
  command.command("drain", drainCommand());
  return command;
}

function withQueue() {
  return bareCommand()
    .option("--queue <url:string>", QUEUE_WORDS.queue, { required: true })
    .option("--queue-password-file <file:string>", QUEUE_WORDS.passwordFile)
    .option("--queue-ca <file:string>", QUEUE_WORDS.authority);
}

function statusCommand() {
  return withQueue()
    .description("Runs, workers, and jobs that were set aside.")
    .option("--json", "Print one JSON object.")
    .option("--prometheus", "Print numbers as Prometheus reads them.")
    .action((flags) =>
      connected(flags, async (client) => {
        if (flags.prometheus) {
          const { queueMetrics } = await import("../queue/metrics.ts");
          return write(await queueMetrics(client).text());
        }
        const { readStatus } = await import("../queue/status.ts");
        const status = await readStatus(client);
        write(flags.json ? `${JSON.stringify(status)}\n` : showStatus(status));
      })
    );
}

function retryCommand() {
  return withQueue()
    .description("Puts jobs that were set aside in again.")
    .option("--run <name:string>", "The run, or the beginning of its name; all if absent.")
    .action((flags) =>
      connected(flags, async (client) => {
        const { retryJobs } = await import("../queue/status.ts");
        const count = await retryJobs(client, flags.run);
        note(count === 1 ? "1 job was put in again" : `${count} jobs were put in again`);
      })
    );
}

function drainCommand() {
  return withQueue()
    .description("Empties runs: jobs that wait, are set aside, or done and not collected.")
    .option("--run <name:string>", "The run, or the beginning of its name; all if absent.")
    .action((flags) =>
      connected(flags, async (client) => {
        const { drainRuns } = await import("../queue/status.ts");
        const { runs, jobs } = await drainRuns(client, flags.run);
        note(`${runs} ${runs === 1 ? "run" : "runs"} emptied of ${jobs} jobs`);
      })
    );
}

async function connected(flags: Flags, work: (client: Redis) => Promise<void>): Promise<void> {
  const address = await readQueue(flags.queue, flags);
  const { connect } = await import("../queue/connection.ts");
  const client = await connect(address);
  try {
    await work(client);
  } finally {
    client.disconnect();
  }
}

/** Tables of runs and workers, and the jobs that were set aside. */
function showStatus({ runs, workers }: QueueStatus): string {
  const runLines = runs.map((run) => [
    run.name.slice(0, 8),
    run.title,
    run.model,
    `${run.done} of ${run.total}`,
    ...[run.waiting, run.active, run.delayed, run.setAside.length].map(String),
  ]);
  const titles = { waiting: "waiting", active: "under way", delayed: "to try again" };
  const workerLines = workers.map((worker) => [
    worker.name,
    worker.processor,
    worker.run?.slice(0, 8) ?? "",
    ...[worker.running, worker.done, worker.failed].map(String),
  ]);
  const aside = runs.flatMap(({ name, setAside }) =>
    setAside.map((job) => `set aside in ${name.slice(0, 8)}: ${job.name}: ${job.reason}\n`)
  );
  const refusals = workers.flatMap(({ name, refusals }) =>
    Object.entries(refusals).map(([run, reason]) =>
      `${name} does not take ${run.slice(0, 8)}: ${reason}\n`
    )
  );
  return [
    runs.length === 0 ? "no runs\n" : table([
      ["run", "what", "model", "collected", ...Object.values(titles), "set aside"],
      ...runLines,
    ], { left: [0, 1, 2] }),
    workers.length === 0 ? "no workers\n" : table([
      ["worker", "processor", "run", "under way", "done", "failed"],
      ...workerLines,
    ], { left: [0, 1, 2] }),
    ...aside,
    ...refusals,
  ].join("");
}
