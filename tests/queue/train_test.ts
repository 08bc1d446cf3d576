import { assert, assertEquals, assertMatch } from "@std/assert";
import { trainCliBench } from "../commands/_train_bench.ts";
import { HAS_S3, startS3Server } from "./_s3_server.ts";
import { running } from "./_fleet.ts";
import { leftBehind, startQueueServer, withoutServer } from "./_queue_server.ts";

/** Names of files in a folder and below. */
function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(`${folder}/${name}`) : [name]
  ).sort();
}

Deno.test({
  name: "train through a queue makes the targets of one machine, bit for bit",
  ...withoutServer,
  async fn() {
    using bench = await trainCliBench();
    await using server = await startQueueServer();
    const env = { KVJUDGE_HOME: `${bench.folder}/home` };
    const shared = `${bench.folder}/shared`;
    await Deno.mkdir(shared);
    const store = `file://${shared}`;
    // The worker has no model: it comes through the store, by its hash.
    await using worker = running(
      ["worker", "--queue", server.url, "--store", store, "--threads", "1"],
      { ...env, KVJUDGE_HOME: `${bench.folder}/other_home` },
    );
    assertEquals((await bench.run("here.safetensors")).code, 0);
    const far = await bench.run(
      ...["far.safetensors", "--queue", server.url, "--store", store],
    );
    assertEquals(far.code, 0, far.err);
    assertMatch(far.err, /targets: 8 made, 0 found/);
    const targets = (out: string) => `${bench.folder}/${out}.work/targets`;
    assertEquals(filesIn(targets("far")), filesIn(targets("here")));
    for (const name of filesIn(targets("here"))) {
      const [here, there] = ["here", "far"].map((out) =>
        Deno.readFileSync(`${targets(out)}/${name}`)
      );
      assertEquals(there, here, name);
    }
    // Only the model stays in the store: targets go when they have been brought.
    assertEquals(filesIn(shared).length, filesIn(bench.model).length);
    assertEquals(await leftBehind(server), []);
    assertMatch(await worker.stop(), /ended: 8 jobs done, 0 tries failed/);
  },
});

Deno.test({
  name: "targets go through a bucket, and a training that is killed goes on",
  ignore: withoutServer.ignore || !HAS_S3,
  async fn() {
    using bench = await trainCliBench();
    await using server = await startQueueServer();
    await using bucket = await startS3Server("kvjudge");
    const store = "s3://kvjudge/training";
    const env = { ...bucket.env, KVJUDGE_HOME: `${bench.folder}/home` };
    await using _worker = running(
      ["worker", "--queue", server.url, "--store", store, "-m", bench.model, "--threads", "1"],
      env,
    );
    const args = bench.args("far.safetensors", "--queue", server.url, "--store", store);
    const targets = `${bench.folder}/far.work/targets`;
    const made = () => {
      try {
        return filesIn(targets).filter((name) => name.endsWith(".target.safetensors")).length;
      } catch {
        return 0;
      }
    };
    await using killed = running(args, env);
    while (made() < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    await killed.kill();
    await using again = running([...args, "--resume"], env);
    assertEquals(await again.ended, 0, again.said);
    const [, fresh = "", found = ""] = /targets: (\d) made, (\d) found/.exec(again.said) ?? [];
    assertEquals(Number(fresh) + Number(found), 8);
    assert(Number(found) >= 2, again.said);
    assertEquals((await bench.run("here.safetensors")).code, 0);
    for (const name of filesIn(targets)) {
      const here = Deno.readFileSync(`${bench.folder}/here.work/targets/${name}`);
      assertEquals(Deno.readFileSync(`${targets}/${name}`), here, name);
    }
    assertEquals(await leftBehind(server), []);
  },
});
