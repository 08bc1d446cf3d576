import { pathToFileURL } from "node:url";
import { assertEquals, assertRejects } from "@std/assert";
import type { ModelFile } from "../../../policies/policy.ts";
import { writeSafetensors } from "../../../runtime/checkpoint/safetensors.ts";
import { CheckpointError, FetchError } from "../../../runtime/errors.ts";
import { readModelFile, writeModelFile } from "../../../runtime/model_files/file.ts";

const FILE: ModelFile = {
  kind: "lu_kv",
  tensors: { curves: { shape: [2, 1], data: Float32Array.of(0.25, 1) } },
  fingerprint: "abc",
  identity: "def",
  card: { model: "tiny" },
};

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("readModelFile() reads from a path and a URL what writeModelFile() wrote", () =>
  withFolder(async (folder) => {
    const path = `${folder}/made for a model.safetensors`;
    await writeModelFile(path, FILE);
    assertEquals(await readModelFile(path), FILE);
    assertEquals(await readModelFile(pathToFileURL(path)), FILE);
    assertEquals(await readModelFile(pathToFileURL(path).href), FILE);
    const bytes = await Deno.readFile(path);
    await using server = Deno.serve(
      { port: 0, onListen: () => {} },
      (request) =>
        request.url.endsWith("/here") ? new Response(bytes) : new Response("", { status: 404 }),
    );
    const base = `http://localhost:${server.addr.port}`;
    assertEquals(await readModelFile(`${base}/here`), FILE);
    await assertRejects(() => readModelFile(`${base}/gone`), FetchError, "the server answers 404");
  }));

Deno.test("readModelFile() refuses what is missing, no such file, or not finite, by the name it was given", () =>
  withFolder(async (folder) => {
    const path = `${folder}/other.safetensors`;
    await assertRejects(() => readModelFile(path), CheckpointError, "other.safetensors");
    await writeSafetensors(path, FILE.tensors, { model: "tiny" });
    await assertRejects(
      () => readModelFile(pathToFileURL(path)),
      CheckpointError,
      `Cannot use ${pathToFileURL(path).href}: its metadata do not say for which policy`,
    );
    const odd = { shape: [1], data: Float32Array.of(NaN) };
    await writeModelFile(path, { ...FILE, tensors: { odd } });
    await assertRejects(() => readModelFile(path), CheckpointError, `tensor "odd" are not finite`);
  }));
