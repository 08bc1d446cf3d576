import { assertEquals, assertRejects } from "@std/assert";
import type { ModelFacts, SoftTokens } from "../../../policies/policy.ts";
import {
  type SafetensorsInput,
  writeSafetensors,
} from "../../../runtime/checkpoint/safetensors.ts";
import { CheckpointError, FetchError } from "../../../runtime/errors.ts";
import { readSoftTokens, resolveSoftTokens } from "../../../runtime/soft_tokens/read.ts";

const data = new Float32Array([1, 2, 3, 4, 5, 6]);
const soft_tokens: SafetensorsInput = { shape: [2, 3], data };
const metadata = { model_fingerprint: "abc", steps: "100" };

const expected: SoftTokens = {
  count: 2,
  hidden: 3,
  embeddings: data,
  fingerprint: "abc",
  trained: true,
  card: { steps: "100" },
};

async function withFile(
  tensors: Readonly<Record<string, SafetensorsInput>>,
  test: (path: string) => Promise<void>,
  facts: Readonly<Record<string, string>> = metadata,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/soft tokens.safetensors`;
    await writeSafetensors(path, tensors, facts);
    await test(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("readSoftTokens() reads a path and a file URL", () =>
  withFile({ soft_tokens }, async (path) => {
    assertEquals(await readSoftTokens(path), expected);
    const url = new URL(`file://${path}`);
    assertEquals(await readSoftTokens(url), expected);
    assertEquals(await readSoftTokens(url.href), expected);
  }));

Deno.test("readSoftTokens() reads an http URL", () =>
  withFile({ soft_tokens }, async (path) => {
    await using server = Deno.serve(
      { port: 0, onListen: () => {} },
      async ({ url }) =>
        url.endsWith("/soft.safetensors")
          ? new Response(await Deno.readFile(path))
          : url.endsWith("/cut.safetensors")
          ? new Response((await Deno.readFile(path)).subarray(0, 40))
          : new Response("no", { status: 404, statusText: "Not Found" }),
    );
    const base = `http://localhost:${server.addr.port}`;
    assertEquals(await readSoftTokens(`${base}/soft.safetensors`), expected);
    await assertRejects(
      () => readSoftTokens(new URL(`${base}/cut.safetensors`)),
      CheckpointError,
      `Cannot read ${base}/cut.safetensors as safetensors`,
    );
    await assertRejects(
      () => readSoftTokens(`${base}/missing`),
      FetchError,
      `Cannot fetch soft tokens from ${base}/missing: the server answers 404 Not Found`,
    );
  }));

Deno.test("readSoftTokens() takes half precision, and a file for any model", () =>
  withFile({ soft_tokens: { ...soft_tokens, dtype: "BF16" } }, async (path) => {
    const { fingerprint: _any, ...others } = expected;
    assertEquals(await readSoftTokens(path), { ...others, card: {} });
  }, {}));

Deno.test("readSoftTokens() reads the adapters and the model's names beside the tokens", () =>
  withFile({
    soft_tokens,
    "adapter.0.q.a": { shape: [3, 2], data },
    "adapter.0.q.b": { shape: [2, 1], data: data.slice(0, 2), dtype: "F16" },
    other: soft_tokens,
  }, async (path) => {
    const { adapters, fingerprint, identity, card } = await readSoftTokens(path);
    assertEquals(adapters, {
      rank: 2,
      tensors: { "adapter.0.q.a": data, "adapter.0.q.b": data.slice(0, 2) },
    });
    assertEquals({ fingerprint, identity, card }, {
      fingerprint: "abc",
      identity: "def",
      card: { steps: "100" },
    });
  }, { ...metadata, model_identity: "def" }));

Deno.test("readSoftTokens() refuses adapters of a strange name or of two ranks", async () => {
  for (
    const [name, shape, message] of [
      ["adapter.0.q.b", [3, 2], 'its tensor "adapter.0.q.b" must be [2, outputs], it is [3, 2]'],
      ["adapter.1.q.a", [2, 3], 'its tensor "adapter.1.q.a" must be [inputs, 2], it is [2, 3]'],
      ["adapter.1.q.a", [3, 2, 1], "it is [3, 2, 1]"],
      ["adapter.1.qkv.a", [3, 2], 'a tensor named "adapter.1.qkv.a" is no adapter'],
    ] as const
  ) {
    const tensors = { "adapter.0.q.a": { shape: [3, 2], data }, [name]: { shape, data } };
    await withFile({ soft_tokens, ...tensors }, async (path) => {
      await assertRejects(() => readSoftTokens(path), CheckpointError, message);
    });
  }
});

Deno.test("readSoftTokens() refuses files that hold no soft tokens", async () => {
  await assertRejects(() => readSoftTokens("nowhere.safetensors"), CheckpointError, "not exist");
  await withFile({ other: soft_tokens }, async (path) => {
    await assertRejects(() => readSoftTokens(path), CheckpointError, `tensor "soft_tokens"`);
  });
  await withFile({ soft_tokens: { shape: [6], data } }, async (path) => {
    await assertRejects(
      () => readSoftTokens(path),
      CheckpointError,
      `its tensor "soft_tokens" must be [tokens, hidden], it is [6]`,
    );
  });
  const none = { shape: [0, 3], data: new Float32Array(0) };
  await withFile({ soft_tokens: none }, async (path) => {
    await assertRejects(() => readSoftTokens(path), CheckpointError, "it is [0, 3]");
  });
  const integers = { shape: [2], data: new Int32Array(2) };
  await withFile({ soft_tokens: integers }, async (path) => {
    await assertRejects(() => readSoftTokens(path), CheckpointError, "integers");
  });
});

const model: ModelFacts = {
  hidden: 3,
  layers: 1,
  fingerprint: "abc",
  identity: "same",
  embeddingRms: 1,
  readSoftTokens,
  readModelFile: () => Promise.reject(new Error("not asked for")),
};

Deno.test("resolveSoftTokens() passes the model's facts on and fitting tokens back", async () => {
  const seen: ModelFacts[] = [];
  const tokens = (facts: ModelFacts) => {
    seen.push(facts);
    return Promise.resolve(expected);
  };
  assertEquals(await resolveSoftTokens(tokens, model), expected);
  assertEquals(seen, [model]);
  const { fingerprint: _any, ...forAnyModel } = expected;
  assertEquals(await resolveSoftTokens(() => forAnyModel, model), forAnyModel);
  const otherFormat = { ...expected, fingerprint: "def", identity: "same" };
  assertEquals(await resolveSoftTokens(() => otherFormat, model), otherFormat);
});

Deno.test("resolveSoftTokens() refuses tokens of another model, size or shape", async () => {
  const nan = data.with(2, NaN);
  const { fingerprint: _any, ...unnamed } = expected;
  for (
    const [given, message] of [
      [
        { ...expected, fingerprint: "def" },
        "of a model with fingerprint def: this model has fingerprint abc and is not that one in " +
        "another format",
      ],
      [
        { ...expected, fingerprint: "def", identity: "other", card: { model: "Tiny" } },
        "of Tiny with fingerprint def",
      ],
      [{ ...unnamed, identity: "other" }, "of a model with identity other"],
      [{ ...expected, hidden: 2, count: 3 }, "of size 2: the model's embeddings have size 3"],
      [{ ...expected, count: 3 }, "3 tokens of size 3 take 9 numbers, there are 6"],
      [{ ...expected, count: 0, embeddings: new Float32Array(0) }, "0 tokens of size 3"],
      [{ ...expected, embeddings: nan }, "some of their numbers are not finite"],
    ] as const
  ) {
    await assertRejects(() => resolveSoftTokens(() => given, model), CheckpointError, message);
  }
});
