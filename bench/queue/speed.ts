import { fileURLToPath } from "node:url";
import { startServer } from "./server.ts";

const CLI = fileURLToPath(new URL("../../cli.ts", import.meta.url));

/** What is measured with. */
export interface SpeedRequest {
  readonly model: string;
  readonly samples: number;
  readonly tokens: number;
}

/** Workers on this machine. */
export interface Fleet {
  readonly workers: number;
  /** Of each worker. */
  readonly threads: number;
}

/** Seconds of one sample, from the first result to the last, through a queue. */
export async function secondsPerSample(
  { workers, threads }: Fleet,
  { model, samples, tokens }: SpeedRequest,
): Promise<number> {
  await using server = await startServer();
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "kvjudge-bench-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const start = (...args: string[]) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", CLI, ...args],
      ...{ stdin: "null", stdout: "null", stderr: "null" },
    }).spawn();
  for (let at = 0; at < workers; at++) {
    const given = /[/.]/.test(model) ? ["--model", model] : [];
    const child = start("worker", "--queue", server.url, "--threads", `${threads}`, ...given);
    stack.defer(async () => {
      child.kill("SIGKILL");
      await child.status;
    });
  }
  const out = `${folder}/run`;
  const depths = Array.from({ length: samples }, (_, at) => Math.floor(100 * at / samples));
  const submitter = start(
    ...["eval", "niah", "--model", model, "--lengths", `${tokens}`, "--depths", depths.join()],
    ...["--policies", "snapkv", "--budgets", "128", "--queue", server.url, "--out", out],
  );
  const times: number[] = [];
  let known = 0;
  const ended = submitter.status.then(() => true);
  for (;;) {
    const text = await Deno.readTextFile(`${out}/samples.jsonl`).catch(() => "");
    const count = text.split("\n").length - 1;
    for (; known < count; known++) times.push(performance.now());
    if (count >= samples) break;
    const over = await Promise.race([
      ended,
      new Promise<false>((resolve) => setTimeout(() => resolve(false), 10)),
    ]);
    if (over && known < samples) throw new Error("the run ended early");
  }
  await ended;
  // Several workers begin together, and each has loaded its model when its first result comes.
  const from = times[workers - 1] ?? 0;
  return ((times.at(-1) ?? 0) - from) / 1000 / (samples - workers);
}
