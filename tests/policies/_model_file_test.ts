import { assertEquals, assertRejects } from "@std/assert";
import { describeFileSource, modelFileFor, oncePerModel } from "../../policies/_model_file.ts";
import { type ModelFile, OptionError } from "../../policies/policy.ts";
import { fakeFacts } from "./_fake_tokens.ts";

const NEEDS = { policy: "lu_kv", make: "kvjudge train lu-kv" };
const FILE: ModelFile = { kind: "lu_kv", tensors: {} };

Deno.test("modelFileFor() gives what was given, reads what is named, and finds what ships", async () => {
  const read: string[] = [];
  const facts = fakeFacts({
    readModelFile: (source) => (read.push(String(source)), Promise.resolve(FILE)),
  });
  assertEquals(await modelFileFor(FILE, NEEDS, facts), FILE);
  assertEquals(await modelFileFor("curves.safetensors", NEEDS, facts), FILE);
  const file = new URL("https://example.org/shipped.safetensors");
  const shipped = [{ policy: "lu_kv", model: "tiny", identity: "def", file }];
  assertEquals(await modelFileFor(undefined, { ...NEEDS, shipped }, facts), FILE);
  assertEquals(read, ["curves.safetensors", file.href]);
  const other = [{ policy: "lu_kv", model: "tiny", identity: "other", file }];
  assertEquals(await modelFileFor(undefined, { ...NEEDS, shipped: other }, facts), undefined);
});

Deno.test("modelFileFor() refuses a file of another policy or another model, and names the way out", async () => {
  const cases: readonly (readonly [ModelFile, string])[] = [
    [
      { ...FILE, kind: "kvzap" },
      "it was made for policy 'kvzap'; make one with `kvjudge train lu-kv`",
    ],
    [
      { ...FILE, fingerprint: "f", card: { model: "tiny" } },
      "made for tiny with fingerprint f, and",
    ],
    [
      { ...FILE, identity: "i" },
      "made for a model with fingerprint unknown, and this model has abc",
    ],
  ];
  for (const [file, message] of cases) {
    await assertRejects(() => modelFileFor(file, NEEDS, fakeFacts()), OptionError, message);
  }
});

Deno.test("modelFileFor() takes a file that names the model by fingerprint, or by identity alone", async () => {
  for (
    const names of [{ fingerprint: "abc", identity: "?" }, { fingerprint: "?", identity: "def" }]
  ) {
    const file = { ...FILE, ...names };
    assertEquals(await modelFileFor(file, NEEDS, fakeFacts()), file);
  }
});

Deno.test("oncePerModel() makes once for each model, and again what failed", async () => {
  let made = 0;
  const make = oncePerModel(({ fingerprint }) => {
    made++;
    if (made === 1) throw new Error("not yet");
    return `${fingerprint} ${made}`;
  });
  await assertRejects(() => make(fakeFacts()), Error, "not yet");
  assertEquals(await make(fakeFacts()), "abc 2");
  assertEquals(await make(fakeFacts()), "abc 2");
  assertEquals(await make(fakeFacts({ fingerprint: "other" })), "other 3");
});

Deno.test("describeFileSource() names a source as records show it", () => {
  assertEquals(
    [undefined, "a.safetensors", new URL("file:///a"), FILE].map(describeFileSource),
    ["default", "a.safetensors", "file:///a", "given numbers"],
  );
});
