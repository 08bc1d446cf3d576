import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { xoroshiro128plusFromState } from "npm:pure-rand@8.4.2/generator/xoroshiro128plus";
import { seededState } from "../../../runtime/sampling/seeded_state.ts";
import { withFolder } from "../../_temp_folder.ts";
import { idsRequest, outcomeOf, testScheduler } from "../scheduler/_test_scheduler.ts";

/** Times that a server is killed; more with `KVJUDGE_KILLS`. */
const KILLS = Number(Deno.env.get("KVJUDGE_KILLS") ?? 5);
/** Milliseconds in which it may be, once it is busy. */
const WITHIN = 500;

/** Starts a busy server and kills it some time after it was ready, or when it has kept a document. */
async function killed(folder: string, seed: number, after: number | "kept"): Promise<void> {
  const script = fileURLToPath(new URL("_busy_server.ts", import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--node-modules-dir=manual",
      "--no-check",
      "--allow-all",
      script,
      folder,
      String(seed),
    ],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const said = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let heard = "";
  const until = async (word: string) => {
    while (!heard.includes(word)) {
      const { value, done } = await said.read();
      assert(!done, "it ended by itself");
      heard += value;
    }
  };
  await until("ready");
  if (after === "kept") await until("kept");
  else await new Promise((resolve) => setTimeout(resolve, after));
  child.kill("SIGKILL");
  while (!(await said.read()).done);
  assertEquals((await child.status).signal, "SIGKILL", "it ended by itself");
}

Deno.test("SIGKILL in the middle of everything: documents are whole or absent, and nothing else stays", async () => {
  await withFolder(async (cacheFolder) => {
    const random = xoroshiro128plusFromState(seededState(7));
    const { prompt: _, ...request } = idsRequest([]);
    const messages = [{ role: "user" as const, content: "5 6 7" }];
    let [found, left] = [0, 0];
    for (let round = 0; round < KILLS; round++) {
      // A busy machine may keep none in half a second.
      const after = round % 2 === 0 ? "kept" : (random.next() >>> 0) % WITHIN;
      await killed(cacheFolder, round * 5, after);
      left = Math.max(left, [...Deno.readDirSync(cacheFolder)].length);
      await using test = await testScheduler({ cacheFolder });
      const { scheduler } = test;
      const ids = scheduler.documents.list().map(({ id }) => id);
      const names = [...Deno.readDirSync(cacheFolder)].map(({ name }) => name);
      assertEquals(names.sort(), ids.flatMap((id) => [`${id}.json`, `${id}.kvcache`]).sort());
      for (const document of ids) {
        const asked = { ...request, document, prompt: { kind: "chat" as const, messages } };
        // Its digest is checked when it is loaded.
        assertEquals((await outcomeOf(scheduler, asked)).answers[0]?.length, 8);
      }
      found += ids.length;
    }
    assert(found > 0, "no document was ever whole");
    // Three of two files each, and what the last kill left.
    assert(left < 16, `${left} files`);
  });
});
