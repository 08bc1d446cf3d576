import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { fileURLToPath } from "node:url";
import { StorageError } from "../../runtime/errors.ts";
import { TrainingError } from "../../training/errors.ts";
import { loadState, type RunState, saveState } from "../../training/state.ts";
import { withFolder } from "../_temp_folder.ts";

const state = (step: number): RunState => ({
  step,
  settings: "settings",
  tensors: {
    soft_tokens: Float32Array.from({ length: 37 }, (_, i) => Math.fround(Math.sin(i * step + 1))),
    "adam.first.soft_tokens": Float32Array.of(1e-38, -0, 3.4e38, step),
    empty: new Float32Array(0),
  },
  numbers: { bestLoss: Infinity, worst: -Infinity, last: NaN, random: [1, -2], kind: "mse" },
});

Deno.test("loadState() gives back every bit of what saveState() saved", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/state.safetensors`;
    assertEquals(await loadState(path, "settings"), undefined);
    for (const step of [1, 2, 3]) {
      await saveState(path, state(step));
      assertEquals(await loadState(path, "settings"), state(step));
    }
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), [
      "state.safetensors",
      "state.safetensors.previous",
    ]);
  });
});

Deno.test("loadState() takes the state before where the last one is torn at any place", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/state.safetensors`;
    await saveState(path, state(1));
    await saveState(path, state(2));
    const bytes = Deno.readFileSync(path);
    for (let length = 0; length < bytes.length; length += 7) {
      Deno.writeFileSync(path, bytes.subarray(0, length));
      assertEquals((await loadState(path, "settings"))?.step, 1, `cut at ${length}`);
    }
    for (let at = 0; at < bytes.length; at += 5) {
      const flipped = bytes.slice();
      flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      Deno.writeFileSync(path, flipped);
      const loaded = await loadState(path, "settings");
      // A flip in the padding of the header changes nothing that is read.
      assertEquals(loaded, state(loaded?.step ?? 0), `flipped at ${at}`);
    }
    Deno.writeFileSync(path, bytes.subarray(0, 100));
    await saveState(path, state(3));
    assertEquals((await loadState(path, "settings"))?.step, 3);
    Deno.writeFileSync(path, new Uint8Array(0));
    assertEquals((await loadState(path, "settings"))?.step, 1);
    Deno.removeSync(path);
    assertEquals((await loadState(path, "settings"))?.step, 1);
  });
});

Deno.test("loadState() gives nothing where nothing is readable", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/state.safetensors`;
    Deno.writeTextFileSync(path, "nonsense");
    Deno.writeTextFileSync(`${path}.previous`, "");
    assertEquals(await loadState(path, "settings"), undefined);
  });
});

Deno.test("loadState() refuses a state of other settings", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/state.safetensors`;
    await saveState(path, state(1));
    const error = await assertRejects(() => loadState(path, "others"), TrainingError);
    assertMatch(
      error.message,
      /^Cannot resume from .*: .*other settings.* start again into another file$/,
    );
    assertEquals((await loadState(path, "settings"))?.step, 1);
  });
});

Deno.test("loadState() and saveState() refuse unusable places", async () => {
  await withFolder(async (folder) => {
    await assertRejects(
      () => loadState(folder, "settings"),
      TrainingError,
      "Cannot read the state",
    );
    const missing = `${folder}/none/state`;
    await assertRejects(() => saveState(missing, state(1)), StorageError, "folder does not exist");
  });
});

Deno.test("saveState() leaves a readable state when it is killed at any moment", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/state.safetensors`;
    const script = fileURLToPath(new URL("./_state_writer.ts", import.meta.url));
    let last = 0;
    let random = 12345;
    for (let kill = 0; kill < 20; kill++) {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-check", "-A", script, path, `${last + 1}`],
        stdout: "piped",
      }).spawn();
      const reader = child.stdout.getReader();
      let output = new TextDecoder().decode((await reader.read()).value);
      random = (random * 1103515245 + 12345) % 2 ** 31;
      await new Promise((resolve) => setTimeout(resolve, (random / 2 ** 31) * 40));
      child.kill("SIGKILL");
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        output += new TextDecoder().decode(part.value);
      }
      await child.status;
      const done = Number(output.trimEnd().split("\n").at(-1));
      const loaded = await loadState(path, "settings");
      assert(loaded && done > last, `after kill ${kill}: ${output}`);
      assert(loaded.step === done || loaded.step === done + 1, `${loaded.step} after ${done}`);
      assertEquals(loaded.numbers, { step: loaded.step });
      assertEquals(loaded.tensors.a?.length, 200_000);
      assert(loaded.tensors.a?.every((value) => value === loaded.step));
      last = loaded.step;
    }
    await saveState(path, state(last + 1));
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), [
      "state.safetensors",
      "state.safetensors.previous",
    ]);
  });
});
