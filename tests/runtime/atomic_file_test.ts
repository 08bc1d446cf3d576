import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { replaceAtomically, writeAtomically } from "../../runtime/atomic_file.ts";
import { BudgetError, StorageError } from "../../runtime/errors.ts";
import { withFolder } from "../_temp_folder.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

Deno.test("writeAtomically() creates and replaces, and leaves nothing else", async () => {
  await withFolder(async (folder) => {
    await writeAtomically(`${folder}/a`, encode("one"));
    await writeAtomically(`${folder}/a`, encode("two"));
    assertEquals(Deno.readTextFileSync(`${folder}/a`), "two");
    assertEquals(names(folder), ["a"]);
  });
});

Deno.test("replaceAtomically() keeps the old content when writing fails", async () => {
  await withFolder(async (folder) => {
    await writeAtomically(`${folder}/a`, encode("one"));
    const fails = () =>
      replaceAtomically(`${folder}/a`, async (temporary) => {
        await Deno.writeTextFile(temporary, "tw");
        throw new Error("the sky fell");
      });
    const error = await assertRejects(fails, StorageError);
    assertMatch(error.message, /^Cannot write .*\/a: the sky fell$/);
    const own = new BudgetError("the budget is too small");
    const refuses = () => replaceAtomically(`${folder}/a`, () => Promise.reject(own));
    assertEquals(await assertRejects(refuses), own);
    assertEquals(Deno.readTextFileSync(`${folder}/a`), "one");
    assertEquals(names(folder), ["a"]);
  });
});

Deno.test("writeAtomically() removes what dead processes left, and nothing else", async () => {
  await withFolder(async (folder) => {
    const dead = new Deno.Command(Deno.execPath(), { args: ["--version"], stdout: "null" }).spawn();
    await dead.status;
    const stays = [
      `a.${Deno.ppid}-00000000.tmp`,
      `a.${Deno.pid}-00000000.tmp`,
      `b.${dead.pid}-00000000.tmp`,
      "a.tmp",
      "a.b",
    ];
    const goes = [`a.${dead.pid}-0123abcd.tmp`, `a.${dead.pid}-0123abcd.tmp.deep.tmp`];
    for (const name of [...stays, ...goes]) Deno.writeTextFileSync(`${folder}/${name}`, "x");
    const old = `a.${Deno.ppid}-11111111.tmp`;
    Deno.writeTextFileSync(`${folder}/${old}`, "x");
    Deno.utimeSync(`${folder}/${old}`, new Date(0), new Date(0));
    await writeAtomically(`${folder}/a`, encode("one"));
    assertEquals(names(folder), ["a", ...stays].sort());
  });
});

Deno.test("writeAtomically() says what is wrong with the place", async () => {
  await withFolder(async (folder) => {
    const missing = () => writeAtomically(`${folder}/none/a`, encode("x"));
    assertMatch((await assertRejects(missing, StorageError)).message, /folder does not exist/);
    Deno.mkdirSync(`${folder}/dir/full`, { recursive: true });
    const directory = () => writeAtomically(`${folder}/dir`, encode("x"));
    assertMatch(
      (await assertRejects(directory, StorageError)).message,
      /^Cannot write .*\/dir: it is a folder; give/,
    );
    assertEquals(names(folder), ["dir"]);
  });
});
