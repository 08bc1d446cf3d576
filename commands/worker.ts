import { hostname } from "node:os";
import process from "node:process";
import { note } from "./_output.ts";
import {
  millisecondsOf,
  openNamedStore,
  QUEUE_WORDS,
  type QueueFlags,
  readQueue,
} from "./_queue.ts";
import { bareCommand, type Subcommand } from "./_subcommand.ts";
import { atLeast } from "./eval/_numbers.ts";
import { bytesOf } from "./serve/settings.ts";
import { listenForStop } from "./serve/signals.ts";

interface WorkerFlags extends QueueFlags {
  readonly queue: string;
  readonly store?: string | undefined;
  readonly name?: string | undefined;
  readonly model?: readonly string[] | undefined;
  readonly modelMemory?: string | undefined;
  readonly concurrency: number;
  readonly threads?: number | undefined;
  readonly allowPolicy?: readonly string[] | undefined;
  readonly lock: number;
  readonly untilIdle?: boolean | undefined;
  readonly metricsHost: string;
  readonly metricsPort?: number | undefined;
}

/** Milliseconds without jobs after which a worker may end: a submitter may just be starting. */
const IDLE_TIME = 20_000;

/** `kvjudge worker`: works on what others submit. */
export function workerCommand(version: string): Subcommand {
  return bareCommand()
    .name("kvjudge worker")
    .description("Works on the samples and targets of a queue, until it is stopped.")
    .option("--queue <url:string>", QUEUE_WORDS.queue, { required: true })
    .option("--queue-password-file <file:string>", QUEUE_WORDS.passwordFile)
    .option("--queue-ca <file:string>", QUEUE_WORDS.authority)
    .option("--store <url:string>", QUEUE_WORDS.store)
    .option("--name <name:string>", "What lists call it; machine and process if absent.")
    .option("-m, --model <model:string>", "Model of this machine: a folder or a .gguf file.", {
      collect: true,
    })
    .option("--model-memory <bytes:string>", "Memory for models; most of what is free if absent.")
    .option("--concurrency <count:integer>", "Jobs at a time, each with a model of its own.", {
      default: 1,
    })
    .option("--threads <count:integer>", "Threads of each model; processors are shared if absent.")
    .option("--allow-policy <pattern:string>", "Files and URLs that runs may name as policies.", {
      collect: true,
    })
    .option("--lock <seconds:number>", "Silence after which others take a job over.", {
      default: 30,
    })
    .option("--until-idle", `End when no run has had jobs for it for ${IDLE_TIME / 1000} s.`)
    .option("--metrics-host <address:string>", "Address of the metrics.", { default: "127.0.0.1" })
    .option("--metrics-port <port:integer>", "Port where Prometheus finds metrics; none if absent.")
    .example("On each machine", "kvjudge worker --queue rediss://queue.example:6379")
    .action((flags) => run(flags, version));
}

/** Share of the free memory that models may take. */
const SHARE = 0.8;

async function run(flags: WorkerFlags, version: string): Promise<void> {
  atLeast("--concurrency", flags.concurrency, 1);
  atLeast("--threads", flags.threads, 1);
  const lock = millisecondsOf(flags.lock, "--lock");
  const modelMemory = flags.modelMemory === undefined
    ? SHARE * Deno.systemMemoryInfo().available
    : bytesOf(flags.modelMemory, "--model-memory");
  const address = await readQueue(flags.queue, flags);
  const { homeFolder } = await import("../runtime/models/home.ts");
  const { defaultThreads } = await import("../runtime/device/processor.ts");
  const { connect } = await import("../queue/connection.ts");
  const { newTally } = await import("../queue/worker_tally.ts");
  const { work } = await import("../queue/work.ts");
  using store = await openNamedStore(flags.store);
  using stopping = listenForStop();
  const stop = new AbortController();
  stopping.asked.then(() => stop.abort());
  await using scope = new AsyncDisposableStack();
  const tally = newTally();
  if (flags.metricsPort !== undefined) {
    const { queueMetrics } = await import("../queue/metrics.ts");
    const { serveMetrics } = await import("../queue/metrics_server.ts");
    const client = await connect(address);
    scope.defer(() => client.disconnect());
    const place = { host: flags.metricsHost, port: flags.metricsPort };
    const { host, port } = scope.use(serveMetrics(queueMetrics(client, tally), place));
    note(`metrics on http://${host.includes(":") ? `[${host}]` : host}:${port}/metrics`);
  }
  const threads = flags.threads ?? Math.max(1, Math.floor(defaultThreads() / flags.concurrency));
  note(`waiting for work at ${address.shown}`);
  await work({
    ...{ address, version, modelMemory, threads, lock, store },
    name: flags.name ?? `${hostname()}:${process.pid}`,
    home: homeFolder(),
    models: flags.model ?? [],
    concurrency: flags.concurrency,
    allowPolicies: flags.allowPolicy ?? [],
    untilIdle: flags.untilIdle ? IDLE_TIME : undefined,
    now: () => performance.now(),
    onNote: note,
    signal: stop.signal,
  }, tally);
  note(`ended: ${tally.done} jobs done, ${tally.failed} tries failed`);
}
