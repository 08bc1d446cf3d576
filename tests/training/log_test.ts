import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { StorageError } from "../../runtime/errors.ts";
import { TrainingError } from "../../training/errors.ts";
import { openLog, readLog } from "../../training/log.ts";
import { withFolder } from "../_temp_folder.ts";

async function write(path: string, steps: readonly number[], resumeAt?: number): Promise<void> {
  using log = await openLog(path, resumeAt === undefined ? {} : { resumeAt });
  for (const step of steps) log.write({ step, loss: 1 / step });
}

const entries = (steps: readonly number[]) => steps.map((step) => ({ step, loss: 1 / step }));

Deno.test("openLog() has every line in the file as soon as it is written", async () => {
  await withFolder(async (folder) => {
    using log = await openLog(`${folder}/log.jsonl`);
    assertEquals(await readLog(`${folder}/log.jsonl`), []);
    log.write({ step: 1, loss: 0.5, phase: "optimise", hitRate: undefined });
    const text = Deno.readTextFileSync(`${folder}/log.jsonl`);
    assertEquals(text, '{"step":1,"loss":0.5,"phase":"optimise"}\n');
    const validation = { hitRate: { 64: 0.75 }, loss: 0.25 };
    log.write({ step: 2, loss: NaN, rate: Infinity, validation });
    const last = (await readLog(`${folder}/log.jsonl`)).at(-1);
    assertEquals(last, { step: 2, loss: null, rate: null, validation });
  });
});

Deno.test("openLog() starts empty unless it resumes", async () => {
  await withFolder(async (folder) => {
    await write(`${folder}/log`, [1, 2, 3]);
    await write(`${folder}/log`, [1]);
    assertEquals(await readLog(`${folder}/log`), entries([1]));
    await write(`${folder}/new`, [1], 0);
    assertEquals(await readLog(`${folder}/new`), entries([1]));
  });
});

Deno.test("openLog() drops what a resumed run will write again", async () => {
  await withFolder(async (folder) => {
    await write(`${folder}/log`, [1, 2, 2, 3, 4]);
    await write(`${folder}/log`, [3, 4, 5], 2);
    assertEquals(await readLog(`${folder}/log`), entries([1, 2, 2, 3, 4, 5]));
    await write(`${folder}/log`, [1], 0);
    assertEquals(await readLog(`${folder}/log`), entries([1]));
  });
});

Deno.test("openLog() mends a line that was torn at any place", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/log`;
    await write(path, [1, 2, 3]);
    const text = Deno.readTextFileSync(path);
    const start = text.lastIndexOf("{");
    for (let length = start; length < text.length; length++) {
      Deno.writeTextFileSync(path, text.slice(0, length));
      assertEquals(await readLog(path), entries([1, 2]), `cut at ${length}`);
      await write(path, [3], 3);
      assertEquals(await readLog(path), entries([1, 2, 3]), `cut at ${length}`);
    }
  });
});

Deno.test("openLog() appends to what another process wrote", async () => {
  await withFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/log`, '{"step":1,"loss":1}\r\nnull\n\n[]\n{"loss":2}\n');
    await write(`${folder}/log`, [2], 1);
    assertEquals(await readLog(`${folder}/log`), entries([1, 2]));
  });
});

Deno.test("openLog() and readLog() say what is wrong", async () => {
  await withFolder(async (folder) => {
    const missing = () => readLog(`${folder}/none`);
    assertMatch((await assertRejects(missing, TrainingError)).message, /does not exist; give/);
    const directory = () => readLog(folder);
    assertMatch((await assertRejects(directory, TrainingError)).message, /^Cannot read the log /);
    const nowhere = () => openLog(`${folder}/none/log`);
    assertMatch((await assertRejects(nowhere, StorageError)).message, /folder does not exist/);
    const log = await openLog(`${folder}/log`);
    log[Symbol.dispose]();
    log[Symbol.dispose]();
    const late = assertThrows(() => log.write({ step: 1 }), TrainingError);
    assert(late.message.includes("was closed"));
  });
});
