import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Worker } from "npm:bullmq@6.7.0";
import { queueAddress } from "../../queue/address.ts";
import { closed, patient } from "../../queue/connection.ts";
import { openQueue } from "../../queue/engine.ts";
import { QueueError } from "../../queue/errors.ts";
import { TRIES } from "../../queue/job.ts";
import { PREFIX } from "../../queue/names.ts";
import { pinnedPlaces, type SamplesRun } from "../../queue/prepare_samples.ts";
import { runName } from "../../queue/run.ts";
import { drainRuns, readStatus, retryJobs } from "../../queue/status.ts";
import { openStore } from "../../queue/store/open_store.ts";
import { StorageError } from "../../runtime/errors.ts";
import { queueMetrics } from "../../queue/metrics.ts";
import type { WorkerOptions } from "../../queue/worker_options.ts";
import { planRun, queueTest, startWork, submitRun, VERSION } from "./_in_process.ts";
import { clientOf, withoutServer } from "./_queue_server.ts";

/** Waits until a run has put so many jobs in. */
async function waitingJobs(
  client: Awaited<ReturnType<typeof clientOf>>,
  count: number,
): Promise<void> {
  while ((await readStatus(client)).runs[0]?.waiting !== count) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

Deno.test({
  name: "runs that a worker may not or cannot work on are refused in words that the submitter sees",
  ...withoutServer,
  async fn(test) {
    await using made = await queueTest();
    const { home, server, model } = made;
    const soft = `${home}/soft.safetensors`;
    await Deno.writeTextFile(soft, "soft tokens");
    const label = `judge_q(softTokens=${soft})`;
    const named = async (): Promise<Partial<SamplesRun>> => ({
      policies: [{ label, name: "judge_q", options: { softTokens: soft } }],
      places: await pinnedPlaces([label]),
    });
    const refused = async (
      name: string,
      run: Partial<SamplesRun>,
      options: Partial<WorkerOptions>,
      said: string,
    ) => {
      await test.step(name, async () => {
        await using _worker = startWork(server, home, { models: [model], ...options });
        const notes: string[] = [];
        const error = await assertRejects(
          async () =>
            await submitRun(server, await planRun(model, home, run), {
              watch: { onNote: (text) => notes.push(text) },
            }),
          QueueError,
          said,
        );
        assertStringIncludes(error.message, "no worker of the queue at");
        assertStringIncludes(notes.join(), said);
        using client = await clientOf(server);
        await drainRuns(client);
      });
    };
    await refused(
      "another version",
      { version: "9.9.9" },
      {},
      `it was submitted by kvjudge 9.9.9, this worker is kvjudge ${VERSION}`,
    );
    await refused(
      "no such model",
      {},
      { models: [] },
      "there is no model here with the hash of its",
    );
    await refused("too little memory", {}, { modelMemory: 1000 }, "raise 'modelMemory'");
    await refused("a store that it lacks", { store: true }, {}, "this worker has none");
    await refused("a file that is not permitted", await named(), {}, "operator does not permit");
    const there = await named();
    await Deno.writeTextFile(soft, "other soft tokens");
    await refused(
      "other data under the same name",
      there,
      { allowPolicies: [soft] },
      "holds other data here than at the submitter's",
    );
    await refused(
      "other options of a policy",
      { policies: [{ label: "snapkv", name: "snapkv", options: { window: 5 } }] },
      {},
      "policies[0].options.window is 5 at the submitter's",
    );
  },
});

Deno.test({
  name: "a poisoned job is tried three times, set aside and named, and retried when asked",
  ...withoutServer,
  async fn() {
    await using made = await queueTest();
    const { home, server, model } = made;
    await using worker = startWork(server, home, { models: [model] });
    const { samples, run } = await planRun(model, home, { count: 3 });
    const [first, ...others] = samples;
    // A prompt that no model here can read: its own planning would have refused it.
    const poisoned = { ...first, id: "poisoned" };
    const work = first?.elsewhere?.work;
    if (!first?.elsewhere || work?.kind !== "question") throw new Error("no question");
    const long = { ...work, sample: { ...work.sample, context: "houses ".repeat(2000) } };
    const planned = {
      run,
      samples: [
        {
          ...poisoned,
          id: "poisoned",
          elsewhere: { ...first.elsewhere, work: long },
          measure: first.measure,
        },
        ...others,
      ],
    };
    const error = await assertRejects(() => submitRun(server, planned), QueueError);
    assertStringIncludes(error.message, "one job of 3 failed again and again and was set aside");
    assertStringIncludes(error.message, "poisoned: Cannot ask houses-0: its prompt has");
    assertStringIncludes(error.message, "kvjudge queue retry");
    assertEquals([worker.tally.done, worker.tally.failed], [2, 3]);
    using client = await clientOf(server);
    const { runs: [status] } = await readStatus(client);
    assertEquals(status?.setAside.map(({ name }) => name), ["poisoned"]);
    assertEquals([status?.waiting, status?.active, status?.delayed], [0, 0, 0]);
    const metrics = await queueMetrics(client, worker.tally).text();
    const { name, title } = status ?? {};
    assertStringIncludes(
      metrics,
      `kvjudge_queue_jobs{run="${name}",title="${title}",state="set_aside"} 1`,
    );
    assertStringIncludes(metrics, "kvjudge_queue_workers 1");
    assertStringIncludes(metrics, "kvjudge_worker_jobs_done_total 2");
    assertStringIncludes(metrics, "kvjudge_worker_jobs_failed_total 3");
    // Started again, it is named at once; put in again, it is tried anew.
    await assertRejects(() => submitRun(server, planned), QueueError, "one job of 3");
    assertEquals(worker.tally.failed, 3);
    assertEquals(await retryJobs(client), 1);
    await assertRejects(() => submitRun(server, planned), QueueError, "one job of 3");
    assertEquals(worker.tally.failed, 6);
    assertEquals((await drainRuns(client, name?.slice(0, 6))).runs, 1);
    assertEquals((await readStatus(client)).runs, []);
  },
});

Deno.test({
  name: "other data under a job's name are not worked on",
  ...withoutServer,
  async fn() {
    await using made = await queueTest();
    const { home, server, model } = made;
    const planned = await planRun(model, home, { count: 1 });
    using client = await clientOf(server);
    const submitting = assertRejects(
      () => submitRun(server, planned),
      QueueError,
      "other data lie there under its name",
    );
    const queue = openQueue(client, runName(planned.run));
    const find = async () => (await queue.getJobs(["wait"]))[0];
    let job = await find();
    for (; !job; job = await find()) await new Promise((resolve) => setTimeout(resolve, 20));
    await job.updateData({ ...job.data, input: job.data.input.replace("12 houses", "13 houses") });
    await using _worker = startWork(server, home, { models: [model] });
    await submitting;
    await queue.close();
  },
});

Deno.test({
  name: "a run that somebody empties ends, and goes on when it is submitted again",
  ...withoutServer,
  async fn() {
    await using made = await queueTest();
    const { home, server, model } = made;
    const planned = await planRun(model, home, {});
    using client = await clientOf(server);
    const submitting = assertRejects(
      () => submitRun(server, planned),
      QueueError,
      "somebody emptied this run",
    );
    await waitingJobs(client, 2);
    assertEquals(await drainRuns(client), { runs: 1, jobs: 2 });
    await submitting;
    await using _worker = startWork(server, home, { models: [model] });
    const records = await submitRun(server, planned);
    assertEquals(records.map(({ id }) => id).sort(), planned.samples.map(({ id }) => id));
    // Judged here: the worker does not know the metric.
    assertEquals(records.flatMap(({ cells }) => cells.map(({ score }) => score)), [1, 1, 1, 1]);
  },
});

Deno.test({
  name: "a server that goes ends the run in one sentence, when it is gone for too long",
  ...withoutServer,
  async fn() {
    await using made = await queueTest();
    const { home, server, model } = made;
    const planned = await planRun(model, home, {});
    const notes: string[] = [];
    const submitting = assertRejects(
      () =>
        submitRun(server, planned, {
          patience: 1000,
          watch: { onNote: (text) => notes.push(text) },
        }),
      QueueError,
      `the queue at ${queueAddress(server.url).shown} has been gone for 1 s`,
    );
    {
      using client = await clientOf(server);
      await waitingJobs(client, 2);
    }
    await server.kill();
    await submitting;
    assertStringIncludes(notes.join(), "is gone; waiting for it");
    await server.restart();
  },
});

Deno.test({
  name: "a store that is full ends the run in one sentence, on either side",
  ...withoutServer,
  async fn(test) {
    await using made = await queueTest(2048);
    const { home, server, model } = made;
    await Deno.mkdir(`${home}/shared`);
    using shared = await openStore(`file://${home}/shared`);
    const full = () =>
      Promise.reject(new StorageError("Cannot write into the store: the disk is full; free space"));
    const planned = await planRun(model, home, { count: 1, shared, repeats: 90 });
    await test.step("at the submitter", async () => {
      const store = { ...shared, put: full };
      await assertRejects(
        () => submitRun(server, planned, { store }),
        StorageError,
        "disk is full",
      );
    });
    await test.step("at a worker, which cannot fetch the model", async () => {
      await using _worker = startWork(server, home, {
        home: `${home}/other`,
        store: { ...shared, fetch: full },
      });
      await assertRejects(
        () => submitRun(server, planned, { store: shared }),
        QueueError,
        "the disk is full",
      );
    });
    await test.step("and goes on when there is room", async () => {
      await using _worker = startWork(server, `${home}/other`, { store: shared });
      const records = await submitRun(server, planned, { store: shared });
      assertEquals(records.map(({ id }) => id), planned.samples.map(({ id }) => id));
    });
  },
});

Deno.test({
  name: "a job whose workers die three times is set aside, and says why",
  ...withoutServer,
  async fn() {
    await using made = await queueTest();
    const { home, server, model } = made;
    const planned = await planRun(model, home, { count: 1 });
    const submitted = assertRejects(
      () => submitRun(server, planned),
      QueueError,
      "one job of 1 failed again and again and was set aside (houses-0 question last: its workers " +
        "died, again and again, while it ran)",
    );
    using client = await clientOf(server);
    const name = runName(planned.run);
    // It takes jobs and never says again that it lives, as if each time it had died.
    const dying = new Worker(name, null, {
      ...{ connection: patient(queueAddress(server.url)), prefix: PREFIX, autorun: false },
      ...{ lockDuration: 50, stalledInterval: 50, maxStalledCount: TRIES - 1 },
    });
    dying.on("error", () => {});
    await dying.startStalledCheckTimer();
    for (let deaths = 0; deaths < TRIES;) {
      if (await dying.getNextJob(`life ${deaths + 1}`, { block: false })) deaths++;
      // The submitter looks for dead workers too, every few seconds, and one look a while is enough.
      await client.del(`${PREFIX}:${name}:stalled-check`);
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    // Whoever is given it next does not run it.
    await using worker = startWork(server, home, { models: [model] });
    await submitted;
    await closed(dying.close(true));
    assertEquals([worker.tally.done, worker.tally.failed], [0, 0]);
  },
});

Deno.test({
  name: "a worker that may end waits a while for its first run, and for the next",
  ...withoutServer,
  async fn() {
    await using made = await queueTest();
    const { home, server, model } = made;
    const planned = await planRun(model, home, {});
    await using worker = startWork(server, home, { models: [model], untilIdle: 2000 });
    await new Promise((resolve) => setTimeout(resolve, 700));
    assertEquals((await submitRun(server, planned)).length, 2);
    assertEquals(worker.tally.done, 2);
    await worker.ended;
  },
});
