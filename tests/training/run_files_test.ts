import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { existsSync } from "node:fs";
import { StorageError } from "../../runtime/errors.ts";
import { TrainingError } from "../../training/errors.ts";
import { checkPaths, claimRun, hashOf, runPaths } from "../../training/run_files.ts";
import { withFolder } from "../_temp_folder.ts";

Deno.test("runPaths() puts everything beside the result, targets elsewhere if asked to", () => {
  assertEquals(runPaths("a/soft.tokens.safetensors"), {
    out: "a/soft.tokens.safetensors",
    log: "a/soft.tokens.jsonl",
    figure: "a/soft.tokens.svg",
    state: "a/soft.tokens.work/state.safetensors",
    targets: "a/soft.tokens.work/targets",
  });
  assertEquals(runPaths("soft", "elsewhere"), {
    out: "soft",
    log: "soft.jsonl",
    figure: "soft.svg",
    state: "soft.work/state.safetensors",
    targets: "elsewhere",
  });
});

Deno.test("checkPaths() refuses what would overwrite a file, and makes none", async () => {
  await withFolder((folder) => {
    const check = (out: string, resume = false, inputs: string[] = []) =>
      checkPaths(runPaths(`${folder}/${out}`), { inputs, resume });
    const refused = (out: string, inputs: string[] = []) =>
      assertThrows(() => check(out, false, inputs), TrainingError).message
        .replaceAll(`${folder}/`, "");
    const write = (name: string, text = "") => Deno.writeTextFileSync(`${folder}/${name}`, text);

    check("fresh.safetensors");
    write("data.jsonl", '{"prompt": "Hi"}\n');
    write("notes.svg", "<svg/>");
    write("taken.safetensors");
    write("old.jsonl", '{"step":1,"loss":2}\n');
    write("old.svg");
    write("empty.jsonl");
    Deno.mkdirSync(`${folder}/begun.work`);
    write("begun.work/state.safetensors.previous");
    Deno.mkdirSync(`${folder}/folder.safetensors`);
    const before = [...Deno.readDirSync(folder)].length;

    check("old.safetensors");
    check("empty.safetensors");
    assertEquals(
      refused("data.safetensors", [`${folder}/./data.jsonl`]),
      "Cannot train into data.safetensors: the run would overwrite data.jsonl, which it reads; " +
        "choose another 'out'",
    );
    assertEquals(
      refused("data.safetensors"),
      "Cannot train into data.safetensors: the run would overwrite data.jsonl, which no training " +
        "made; move it or choose another 'out'",
    );
    assert(refused("notes.safetensors").includes("would overwrite notes.svg"));
    assert(refused("taken.safetensors").includes("there is a file of that name; remove it or"));
    assert(
      refused("begun.safetensors").includes("the state of an earlier run lies there; go on with"),
    );
    assert(refused("folder.safetensors").includes("it is a folder"));
    assert(refused("none/x.safetensors").includes("there is no folder none; make it first"));
    assert(refused("taken.safetensors/x").includes("there is no folder taken.safetensors"));
    assert(refused("x.svg").includes("let the name end in .safetensors"));
    assert(refused("x.jsonl").includes("let the name end in .safetensors"));
    check("taken.safetensors", true);
    check("begun.safetensors", true);
    assertThrows(() => check("data.safetensors", true, [`${folder}/data.jsonl`]), TrainingError);
    const empty = assertThrows(() => checkPaths(runPaths(""), { inputs: [], resume: false }));
    assert(empty instanceof TrainingError && empty.message.includes("the name is empty"));
    assertEquals([...Deno.readDirSync(folder)].length, before);
  });
});

Deno.test("claimRun() keeps a second run out and leaves nothing where nothing was saved", async () => {
  await withFolder(async (folder) => {
    const paths = runPaths(`${folder}/soft.safetensors`);
    {
      using _claim = await claimRun(paths);
      const error = await assertRejects(() => claimRun(paths), TrainingError);
      assert(error.message.endsWith("at work there; wait for it or choose another 'out'"));
      Deno.mkdirSync(paths.targets);
    }
    assertEquals([...Deno.readDirSync(folder)], []);
    {
      using _claim = await claimRun(paths);
      Deno.writeTextFileSync(paths.state, "");
    }
    assert(existsSync(paths.state));
    using _again = await claimRun(paths);
    Deno.removeSync(`${folder}/soft.work`, { recursive: true });
  });
});

Deno.test("claimRun() says where it cannot write", async () => {
  await withFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/soft.work`, "");
    const error = await assertRejects(
      () => claimRun(runPaths(`${folder}/soft.safetensors`)),
      StorageError,
    );
    assert(error.message.startsWith(`Cannot write ${folder}/soft.work: `), error.message);
  });
});

Deno.test("hashOf() tells facts apart and gives equal ones the same hash", () => {
  const facts = { settings: { tokens: 32, rate: 0.01 }, data: "abc" };
  assertEquals(hashOf(facts), hashOf(structuredClone(facts)));
  assert(hashOf(facts) !== hashOf({ ...facts, data: "abd" }));
  assert(hashOf(facts) !== hashOf({ ...facts, settings: { tokens: 32, rate: 0.02 } }));
});
