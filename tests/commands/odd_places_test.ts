import { assertEquals, assertMatch } from "@std/assert";
import { mayMount, mountDisk, unmount } from "../_mounted_disk.ts";
import { callCli } from "./_call_cli.ts";
import { testFolder, textModel } from "./_run_cli.ts";

const POLICY = `export default () => ({
  name: "newest",
  evidence: { kind: "none" },
  score: ({ kvHeads, length }) =>
    Float32Array.from({ length: kvHeads * length }, (_, index) => index % length),
});`;

Deno.test("kvjudge works where every path has spaces and letters that are not ASCII", async () => {
  const text = "Ein Haus, zwei Häuser und ein Gasthaus. ".repeat(6);
  const answers: string[] = [];
  for (const name of ["plain", "ä ö ñ/Häuser & Co (#1) 100 %"]) {
    using root = testFolder();
    const folder = `${root.path}/${name}`;
    await Deno.mkdir(`${folder}/home`, { recursive: true });
    const model = await textModel(folder);
    await Deno.writeTextFile(`${folder}/frage.txt`, text);
    await Deno.writeTextFile(`${folder}/newest.ts`, POLICY);
    const run = async (...args: string[]) => {
      const { code, out, err } = await callCli(["generate", "-m", model, "-n", "6", ...args], {
        env: { KVJUDGE_HOME: `${folder}/home` },
        cwd: folder,
      });
      assertEquals([code, err], [0, ""], name);
      return out;
    };
    // A path with brackets is quoted in an expression.
    const evicting = ["-p", JSON.stringify(`${folder}/newest.ts`), "-b", "16"];
    const saving = ["-f", "frage.txt", ...evicting, "--save-cache", "frage ä.cache"];
    const both = await run(...saving, "Was?");
    assertEquals(await run("--cache", `${folder}/frage ä.cache`, "Was?"), both);
    answers.push(both);
  }
  assertEquals(answers[0], answers[1]);
});

Deno.test({
  name: "kvjudge says that its home is read-only, and works there once weights were prepared",
  ignore: !mayMount(),
  async fn() {
    using root = testFolder();
    const model = await textModel(root.path);
    const home = `${root.path}/home`;
    await Deno.mkdir(home);
    const generate = () =>
      callCli(["generate", "-m", model, "-n", "4", "--precision", "int8", "Hello"], {
        env: { KVJUDGE_HOME: home },
      });
    mountDisk(home, 8_388_608, "ro");
    try {
      const refused = await generate();
      assertEquals([refused.code, refused.out], [2, ""]);
      assertMatch(
        refused.err,
        /^error: Cannot store \S+: the disk is read-only; make it writable, or set KVJUDGE_HOME to another folder\n/,
      );
      mountDisk(home, 8_388_608, "remount", "rw");
      const written = await generate();
      assertEquals([written.code, written.err], [0, ""]);
      mountDisk(home, 8_388_608, "remount", "ro");
      assertEquals(await generate(), written);
    } finally {
      unmount(home);
    }
  },
});
