/**
 * Measures a queue on this machine: `deno task bench-queue [--part speed,overhead,simulation]`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { table } from "../commands/_table.ts";
import { simulate } from "./queue/simulation.ts";
import { secondsPerSample } from "./queue/speed.ts";

const { values } = parseArgs({
  options: {
    part: { type: "string", default: "speed,overhead,simulation" },
    model: { type: "string", default: "smollm2-135m-instruct" },
    samples: { type: "string", default: "12" },
    tokens: { type: "string", default: "512" },
    workers: { type: "string", default: "200" },
    jobs: { type: "string", default: "4000" },
    sleep: { type: "string", default: "1000" },
  },
});
const parts = values.part.split(",");
const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);

if (parts.includes("speed")) {
  const request = {
    model: values.model,
    samples: Number(values.samples),
    tokens: Number(values.tokens),
  };
  const rows = [["workers", "threads each", "seconds a sample", "samples a minute"]];
  for (const fleet of [[1, 2], [1, 1], [2, 1]] as const) {
    const [workers, threads] = fleet;
    const seconds = await secondsPerSample({ workers, threads }, request);
    rows.push([`${workers}`, `${threads}`, seconds.toFixed(3), (60 / seconds).toFixed(1)]);
  }
  console.log(
    `${request.samples} prompts of ${request.tokens} tokens, ${request.model}, snapkv at 128`,
  );
  console.log(table(rows, { left: [] }));
}

if (parts.includes("overhead")) {
  const { seconds, perSecond } = await simulate({ workers: 1, jobs: 1000, sleep: 0 });
  console.log(
    `overhead: 1 worker, 1000 samples of 16 KB that take no time: ${
      (1000 / perSecond).toFixed(2)
    } ms a sample (${seconds.toFixed(1)} s in all)\n`,
  );
}

if (parts.includes("simulation")) {
  const [workers, jobs, sleep] = [values.workers, values.jobs, values.sleep].map(Number);
  if (workers === undefined || jobs === undefined || sleep === undefined) {
    throw new Error("numbers");
  }
  const found = await simulate({ workers, jobs, sleep });
  console.log(`simulation: ${workers} workers that sleep ${sleep} ms, ${jobs} samples of 16 KB`);
  console.log(table([
    ["jobs a second", found.perSecond.toFixed(0)],
    ["at best", found.ideal.toFixed(0)],
    ["seconds in all", found.seconds.toFixed(1)],
    ["server, MB at most", megabytes(found.serverBytes)],
    ["server, processor ms a job", found.serverMilliseconds.toFixed(2)],
    ["submitter, processor ms a job", found.submitterMilliseconds.toFixed(2)],
    ["submitter, MB", megabytes(found.submitterBytes)],
  ]));
}
