import { assert, assertEquals } from "@std/assert";
import { longEnoughToStart } from "../_time_limit.ts";
import { callCli } from "../commands/_call_cli.ts";
import { testFolder, textModel } from "../commands/_run_cli.ts";
import { lasting, recordsOf, type Running, running } from "./_fleet.ts";
import { leftBehind, startQueueServer, withoutServer } from "./_queue_server.ts";

/** Numbers from 0 to 1 that a seed decides. */
function drawer(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

const SAMPLES = 20;

/** Ten moments: after how many records each, who is ended. */
const MOMENTS = {
  worker: [2, 7, 11, 15],
  server: [3, 9, 14],
  submitter: [2, 4, 8],
} as const;

Deno.test({
  name: "a run ends with the same summary whoever is killed, at ten moments",
  ...withoutServer,
  async fn(test) {
    using home = testFolder();
    const model = await textModel(home.path, 1024);
    const env = { KVJUDGE_HOME: home.path };
    const depths = Array.from({ length: SAMPLES }, (_, at) => 5 * at).join();
    const args = [
      ...["eval", "niah", "--precision", "fp32", "--lengths", "400", "--seed", "3", "-m", model],
      ...["-p", "random,snapkv(window=8)", "-b", "16,64", "--depths", depths, "--out"],
    ];
    const here = `${home.path}/here`;
    await using server = await startQueueServer();
    // A worker that a busy machine does not let speak for so long counts as dead.
    const lock = `${Math.ceil(await longEnoughToStart() / 1000)}`;
    const startWorker = () =>
      running(
        ["worker", "--queue", server.url, "-m", model, "--threads", "1", "--lock", lock],
        env,
      );
    const workers: [Running, Running] = [startWorker(), startWorker()];
    assertEquals((await callCli([...args, here, "--threads", "1"], { env })).code, 0);
    const draw = drawer(2026);
    try {
      for (const [victim, moments] of Object.entries(MOMENTS)) {
        await test.step(victim, async () => {
          const out = `${home.path}/${victim}`;
          const submit = () => running([...args, out, "--queue", server.url], env);
          await using stack = new AsyncDisposableStack();
          let submitter = stack.use(submit());
          for (const [at, moment] of moments.entries()) {
            await recorded(out, moment, submitter);
            if (victim === "submitter") {
              await submitter.kill();
              assert(recordsOf(out).length < SAMPLES || at > 0, "it had ended already");
              submitter = stack.use(submit());
              continue;
            }
            await new Promise((resolve) => setTimeout(resolve, 60 * draw()));
            if (victim === "worker") {
              const place = at % 2 === 0 ? 0 : 1;
              await workers[place].kill();
              workers[place] = startWorker();
            } else {
              await server.kill();
              await server.restart();
            }
          }
          assertEquals(await submitter.ended, 0, submitter.said);
          assertEquals(lasting(out), lasting(here));
          const ids = recordsOf(out).map((line) => JSON.parse(line).id);
          assertEquals([ids.length, new Set(ids).size], [SAMPLES, SAMPLES], "each is counted once");
          assertEquals(await leftBehind(server), []);
        });
      }
    } finally {
      await Promise.all(workers.map((one) => one.kill()));
    }
  },
});

/** Waits until so many samples are written down. */
async function recorded(folder: string, count: number, submitter: Running): Promise<void> {
  let ended = false;
  submitter.ended.then(() => ended = true);
  while (recordsOf(folder).length < count) {
    assert(!ended, submitter.said);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
