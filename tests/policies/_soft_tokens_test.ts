import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { softTokenLoader, untrainedSoftTokens } from "../../policies/_soft_tokens.ts";
import type { SoftTokens } from "../../policies/policy.ts";
import { fakeFacts, fakeTokens } from "./_fake_tokens.ts";

const needs = { policy: "judge", adapters: false, train: "train a judge", shipped: [] };

/** A reader that remembers what it was asked for. */
function recorder(tokens: SoftTokens = fakeTokens) {
  const sources: string[] = [];
  const readSoftTokens = (source: string | URL) => {
    sources.push(String(source));
    return Promise.resolve(tokens);
  };
  return { sources, readSoftTokens };
}

Deno.test("softTokenLoader() has the model read a file, once per model", async () => {
  const { sources, readSoftTokens } = recorder();
  const load = softTokenLoader("soft.safetensors", needs);
  assertEquals(await load(fakeFacts({ readSoftTokens })), fakeTokens);
  assertEquals(await load(fakeFacts({ readSoftTokens })), fakeTokens);
  assertEquals(sources, ["soft.safetensors"]);
  await load(fakeFacts({ readSoftTokens, fingerprint: "other" }));
  assertEquals(sources.length, 2);
});

Deno.test("softTokenLoader() reads a file again after a failure", async () => {
  const load = softTokenLoader(new URL("https://example.org/soft.safetensors"), needs);
  await assertRejects(() => load(fakeFacts()), Error, "nothing to read");
  const { sources, readSoftTokens } = recorder();
  assertEquals(await load(fakeFacts({ readSoftTokens })), fakeTokens);
  assertEquals(sources, ["https://example.org/soft.safetensors"]);
});

Deno.test("softTokenLoader() takes soft tokens themselves", async () => {
  assertEquals(await softTokenLoader(fakeTokens, needs)(fakeFacts()), fakeTokens);
});

Deno.test("softTokenLoader() finds what ships for a policy and a model, whatever its format", async () => {
  const row = (policy: string, identity: string) => ({
    policy,
    model: "Tiny",
    identity,
    file: new URL(`https://example.org/${policy}-${identity}.safetensors`),
  });
  const shipped = [row("other", "def"), row("judge", "ghi"), row("judge", "def")];
  const { sources, readSoftTokens } = recorder();
  for (const fingerprint of ["gguf", "safetensors"]) {
    const load = softTokenLoader(undefined, { ...needs, shipped });
    assertEquals(await load(fakeFacts({ fingerprint, readSoftTokens })), fakeTokens);
  }
  const wanted = "https://example.org/judge-def.safetensors";
  assertEquals(sources, [wanted, wanted]);
  const load = softTokenLoader(undefined, { ...needs, shipped });
  const { trained, note } = await load(fakeFacts({ identity: "jkl" }));
  assertEquals([trained, note], [
    false,
    "none ship for this model; train some with `train a judge`",
  ]);
  const untrained = softTokenLoader("untrained", { ...needs, shipped });
  assertEquals((await untrained(fakeFacts())).trained, false);
});

Deno.test("untrainedSoftTokens() are of the model's size and magnitude, and always the same", () => {
  const tokens = untrainedSoftTokens({ hidden: 64, embeddingRms: 0.25 });
  assertEquals([tokens.count, tokens.hidden, tokens.fingerprint], [32, 64, undefined]);
  const squares = tokens.embeddings.reduce((sum, value) => sum + value * value, 0);
  assertAlmostEquals(Math.sqrt(squares / tokens.embeddings.length), 0.25, 0.01);
  assert(new Set(tokens.embeddings).size > 2000);
  assertEquals(tokens, untrainedSoftTokens({ hidden: 64, embeddingRms: 0.25 }));
});
