import { assert, assertEquals, assertRejects } from "@std/assert";
import { StorageError } from "../../../runtime/errors.ts";
import { fullDisk } from "../../_full_disk.ts";
import { withFolder } from "../../_temp_folder.ts";
import { idsRequest, outcomeOf, someIds, testScheduler } from "../scheduler/_test_scheduler.ts";

const EVICTION = { policy: "knorm", budget: { tokens: 32 } } as const;
const document = (seed: number, tokens = 90) => ({
  text: [...someIds(tokens, seed), 3 + seed].join(" "),
  eviction: EVICTION,
});
const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
const filesOf = (ids: readonly string[]) =>
  ids.flatMap((id) => [`${id}.json`, `${id}.kvcache`]).sort();

Deno.test("a full disk: whichever write fails, one error, nothing half there, and the server goes on", async () => {
  await withFolder(async (cacheFolder) => {
    const ids: string[] = [];
    let failures = 0;
    {
      await using test = await testScheduler({ cacheFolder });
      const { documents } = test.scheduler;
      ids.push((await documents.create(document(0))).id);
      for (;; failures++) {
        using disk = fullDisk(failures);
        const made = documents.create(document(1));
        const outcome = await Promise.allSettled([made]);
        if (disk.calls <= failures) {
          assertEquals(outcome[0].status, "fulfilled");
          break;
        }
        const error = await assertRejects(() => made, StorageError, "the disk is full");
        assert(!error.message.includes(".tmp"), error.message);
        assertEquals(names(cacheFolder), filesOf(ids), `write ${failures}`);
        assertEquals(documents.list().map(({ id }) => id), ids);
      }
      ids.push((await documents.create(document(1))).id);
      assertEquals(names(cacheFolder), filesOf(ids));
      const { answers } = await outcomeOf(test.scheduler, idsRequest(someIds(9)));
      assertEquals([answers[0]?.length, test.scheduler.stats().running], [8, 0]);
    }
    // Its cache is opened, written tensor by tensor, flushed and renamed, then its record.
    assert(failures > 10, `${failures} writes`);
    await using again = await testScheduler({ cacheFolder });
    assertEquals(again.scheduler.documents.list().map(({ id }) => id).sort(), ids.toSorted());
  });
});

/** A folder on a disk of its own, if this user may make one. */
async function smallDisk(folder: string, bytes: number): Promise<AsyncDisposable | undefined> {
  const run = async (command: string, args: readonly string[]) => {
    try {
      const options = {
        args: [...args],
        stdout: "null",
        stderr: "null",
      } satisfies Deno.CommandOptions;
      return (await new Deno.Command(command, options).output()).success;
    } catch {
      return false;
    }
  };
  if (!await run("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", folder])) {
    return undefined;
  }
  return { [Symbol.asyncDispose]: async () => void await run("umount", [folder]) };
}

Deno.test("a disk that fills up keeps the documents that it has, also over a restart", async (t) => {
  await withFolder(async (cacheFolder) => {
    await using disk = await smallDisk(cacheFolder, 256 * 1024);
    await t.step({
      name: "on a disk of 256 KiB",
      ignore: disk === undefined,
      async fn() {
        const ids: string[] = [];
        {
          await using test = await testScheduler({ cacheFolder });
          const { documents } = test.scheduler;
          const fill = async () => {
            for (let seed = 0; seed < 40; seed++) {
              ids.push((await documents.create(document(seed))).id);
            }
          };
          await assertRejects(fill, StorageError, "the disk is full");
          assert(ids.length > 0);
          assertEquals(names(cacheFolder), filesOf(ids));
          // Room is made by forgetting one.
          await documents.remove(ids.shift() ?? "");
          ids.push((await documents.create(document(50))).id);
        }
        await using again = await testScheduler({ cacheFolder });
        const { scheduler } = again;
        assertEquals(scheduler.documents.list().map(({ id }) => id).sort(), ids.toSorted());
        const { prompt: _, ...request } = idsRequest([]);
        const messages = [{ role: "user" as const, content: "5 6 7" }];
        const asked = {
          ...request,
          document: ids[0] ?? "",
          prompt: { kind: "chat" as const, messages },
        };
        assertEquals((await outcomeOf(scheduler, asked)).answers[0]?.length, 8);
      },
    });
  });
});
