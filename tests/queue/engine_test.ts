import { assertEquals, assertRejects } from "@std/assert";
import { openQueue, removeJobs } from "../../queue/engine.ts";
import { clientOf, startQueueServer, withoutServer } from "./_queue_server.ts";

Deno.test({
  name: "removeJobs() removes all of a run, also while another process does",
  ...withoutServer,
  async fn() {
    await using server = await startQueueServer();
    using client = await clientOf(server);
    using other = await clientOf(server);
    const [here, there] = [openQueue(client, "run", true), openQueue(other, "run")];
    await here.waitUntilReady();
    for (let round = 0; round < 20; round++) {
      await here.addBulk([{ name: "a", data: {} }, { name: "b", data: {} }]);
      await Promise.all([removeJobs(here), removeJobs(there)]);
      assertEquals(await client.keys("kvjudge:run:*"), []);
    }
    await Promise.all([here.close(), there.close()]);
  },
});

Deno.test({
  name: "removeJobs() passes on why it could not",
  ...withoutServer,
  async fn() {
    const queue = { obliterate: () => Promise.reject(new Error("gone")) };
    await using server = await startQueueServer();
    using client = await clientOf(server);
    const run = openQueue(client, "run");
    await assertRejects(() => removeJobs(Object.assign(run, queue)), Error, "gone");
    await run.close();
  },
});
