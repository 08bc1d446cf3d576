import { assertEquals, assertMatch } from "@std/assert";
import { trainCliBench } from "../commands/_train_bench.ts";
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
