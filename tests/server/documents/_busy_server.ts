/**
 * A process that does everything at once with the documents of a folder until it is killed: reads and
 * keeps them, asks about them, forgets some, drops the oldest. `_busy_server.ts FOLDER SEED`
 *
 * @module
 */
import { createBatchScheduler } from "../../../server/scheduler/batch_scheduler.ts";
import { UnknownDocumentError } from "../../../server/scheduler/errors.ts";
import {
  idsRequest,
  openWords,
  outcomeOf,
  someIds,
  testOptions,
} from "../scheduler/_test_scheduler.ts";

const [cacheFolder = "", given = "0"] = Deno.args;
const seed = Number(given);
const scheduler = createBatchScheduler(
  // Room for some three documents: others are dropped.
  testOptions({ cacheFolder, folderBytes: 300_000 }),
  { open: openWords },
);
await scheduler.ready;
console.log("ready");
const { documents } = scheduler;
const { prompt: _, ...request } = idsRequest([]);

async function keep(worker: number): Promise<void> {
  for (let round = 0;; round++) {
    const text = [...someIds(80 + 40 * worker, seed + round), worker + 2].join(" ");
    const { id } = await documents.create({
      text,
      eviction: { policy: "knorm", budget: { tokens: 48 } },
    });
    console.log("kept");
    const messages = [{ role: "user" as const, content: "5 6 7" }];
    try {
      await outcomeOf(scheduler, { ...request, document: id, prompt: { kind: "chat", messages } });
      if (round % 3 === 2) await documents.remove(id);
    } catch (error) {
      // Another one has taken its place meanwhile.
      if (!(error instanceof UnknownDocumentError)) throw error;
    }
  }
}
await Promise.all([0, 1, 2].map(keep));
