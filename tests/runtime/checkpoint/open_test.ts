import { assertEquals, assertRejects } from "@std/assert";
import { openCheckpoint } from "../../../runtime/checkpoint/open.ts";
import { CheckpointError } from "../../../runtime/errors.ts";
import { writeGguf } from "../../_random_checkpoint.ts";
import { withFolder } from "../../_temp_folder.ts";

Deno.test("openCheckpoint() refuses a path that does not exist", async () => {
  await assertRejects(
    () => openCheckpoint("/no/such/model"),
    CheckpointError,
    "Cannot read /no/such/model: it does not exist.",
  );
});

Deno.test("openCheckpoint() refuses a file that is no checkpoint", async () => {
  await withFolder(async (folder) => {
    for (const content of ["", "hello, world"]) {
      await Deno.writeTextFile(`${folder}/notes.txt`, content);
      await assertRejects(
        () => openCheckpoint(`${folder}/notes.txt`),
        CheckpointError,
        "it is neither a folder with config.json, nor a .safetensors file, nor a GGUF file",
      );
    }
  });
});

Deno.test("openCheckpoint() refuses a .gguf file of another format", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/x.gguf`, "<html>Not found</html>");
    await assertRejects(
      () => openCheckpoint(`${folder}/x.gguf`),
      CheckpointError,
      'it does not start with "GGUF"',
    );
  });
});

Deno.test("openCheckpoint() tells a folder with a GGUF file how to open it", async () => {
  await withFolder(async (folder) => {
    await writeGguf(`${folder}/x.gguf`);
    await assertRejects(() => openCheckpoint(folder), CheckpointError, "the path of a .gguf file");
  });
});

Deno.test("openCheckpoint() works inside a Worker, where inference runs", async () => {
  await withFolder(async (folder) => {
    await writeGguf(`${folder}/x.gguf`);
    const open = new URL("../../../runtime/checkpoint/open.ts", import.meta.url);
    const source = `import { openCheckpoint } from "${open}";
      openCheckpoint("${folder}/x.gguf").then(({ tensors }) => postMessage(tensors.size));`;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const worker = new Worker(url, { type: "module" });
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
    try {
      assertEquals(await promise, 21);
    } finally {
      worker.terminate();
      URL.revokeObjectURL(url);
    }
  });
});
