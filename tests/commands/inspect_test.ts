import { assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { writeSafetensors } from "../../runtime/checkpoint/safetensors.ts";
import { openCheckpoint } from "../../runtime/checkpoint/open.ts";
import { modelFacts } from "../../runtime/models/facts.ts";
import { writeSoftTokens } from "../../runtime/soft_tokens/card.ts";
import { fixture } from "../_test_model.ts";
import { callCli } from "./_call_cli.ts";
import { testFolder } from "./_run_cli.ts";

const MODEL = fixture("tiny-llama");
const CARD = {
  model: "Tiny Llama",
  dataHash: "d41d8cd9",
  settings: { tokens: 2, loss: "kl" },
  lossStart: 0.5,
  lossEnd: 0.125,
  hitRate: { "64": 0.75 },
  created: "2026-11-24",
  version: "0.1.0",
  command: "kvjudge train judge-q --model tiny",
};

/** Two tokens of norms 8 and 16, with adapters, for the tiny model. */
async function writeTokens(path: string): Promise<void> {
  const facts = await modelFacts(await openCheckpoint(MODEL));
  const embeddings = new Float32Array(128).fill(1, 0, 64).fill(2, 64);
  const adapters = { rank: 1, tensors: { "adapter.0.q.a": new Float32Array(64) } };
  await writeSoftTokens(path, { count: 2, hidden: 64, embeddings, adapters }, facts, CARD);
}

Deno.test("kvjudge inspect shows tokens, adapters and every field of the card", async () => {
  using folder = testFolder();
  const path = `${folder.path}/soft.safetensors`;
  await writeTokens(path);
  const { code, out, err } = await callCli(["inspect", path]);
  assertEquals([code, err], [0, ""]);
  assertStringIncludes(out, `${path}: 2 soft tokens of size 64\n`);
  for (
    const [name, value] of [
      ["norms", "8.00 to 16.0, 12.0 on average"],
      ["adapters", "rank 1 on q of 1 layers, 256 B"],
      ["model", "Tiny Llama"],
      ["fingerprint", "[0-9a-f]{64}"],
      ["identity", "[0-9a-f]{64}"],
      ["data hash", "d41d8cd9"],
      ["loss", "0.5 at the start, 0.125 at the end"],
      ["hit rate", "64 0.75"],
      ["created", "2026-11-24"],
      ["version", "0.1.0"],
      ["command", "kvjudge train judge-q --model tiny"],
      ["settings", "tokens 2, loss kl"],
    ]
  ) {
    assertMatch(out, new RegExp(`^  ${name} +${value}$`, "m"));
  }
});

Deno.test("kvjudge inspect --json gives the same as data", async () => {
  using folder = testFolder();
  const path = `${folder.path}/soft.safetensors`;
  await writeTokens(path);
  const { code, out } = await callCli(["inspect", "--json", path]);
  assertEquals(code, 0);
  const { norms, fingerprint, identity, ...rest } = JSON.parse(out);
  assertEquals(rest, {
    source: path,
    tokens: 2,
    hidden: 64,
    adapters: { rank: 1, layers: 1, projections: ["q"], bytes: 256 },
    card: CARD,
    metadata: {},
  });
  assertEquals(norms, { min: 8, mean: 12, max: 16 });
  const facts = await modelFacts(await openCheckpoint(MODEL));
  assertEquals([fingerprint, identity], [facts.fingerprint, facts.identity]);
});

Deno.test("kvjudge inspect --model says whether the tokens fit, and why not", async () => {
  using folder = testFolder();
  const env = { KVJUDGE_HOME: folder.path };
  const path = `${folder.path}/soft.safetensors`;
  const facts = await modelFacts(await openCheckpoint(MODEL));
  const tokens = { count: 1, hidden: 64, embeddings: new Float32Array(64) };
  await writeSoftTokens(path, tokens, facts);
  const fitting = await callCli(["inspect", path, "--model", MODEL], { env });
  assertEquals([fitting.code, fitting.err], [0, ""]);
  assertMatch(fitting.out, /^ {2}fits +\S+tiny-llama \(norm of its own embeddings: /m);
  const other = await callCli(["inspect", path, "--json", "-m", fixture("tiny-qwen3")], { env });
  const { fit } = JSON.parse(other.out);
  assertEquals([other.code, fit.fits], [0, false]);
  assertMatch(fit.reason, /^Cannot use soft tokens of/);
  await writeTokens(path);
  const partial = await callCli(["inspect", path, "--json", "-m", MODEL], { env });
  const { fit: partialFit } = JSON.parse(partial.out);
  assertEquals(partialFit.reason, 'Cannot use adapters: their tensor "adapter.0.q.b" is missing');
  assertAlmostEquals(partialFit.embeddingNorm, facts.embeddingRms * 8, 1e-6);
});

Deno.test("kvjudge inspect reads a foreign file, and shows its texts without obeying them", async () => {
  using folder = testFolder();
  const path = `${folder.path}/soft.safetensors`;
  const soft_tokens = { shape: [1, 2], data: Float32Array.of(3, 4) };
  await writeSafetensors(path, { soft_tokens }, { format: "pt\u001b[2J", loss_end: "?" });
  const { code, out } = await callCli(["inspect", path]);
  assertEquals(code, 0);
  assertEquals(
    out,
    `${path}: 1 soft tokens of size 2\n` +
      "  norms     5.00 to 5.00, 5.00 on average\n" +
      "  adapters  none\n" +
      "  format    pt\\u001b[2J\n",
  );
});

Deno.test("kvjudge inspect refuses what is no file of soft tokens in one sentence", async () => {
  using folder = testFolder();
  const path = `${folder.path}/soft.safetensors`;
  await writeTokens(path);
  const whole = await Deno.readFile(path);
  const cases: readonly [contents: Uint8Array | undefined, message: RegExp][] = [
    [
      undefined,
      /^error: Cannot inspect ".*soft\.safetensors": there is no such file or folder, .*\n$/,
    ],
    [new Uint8Array(0), /^error: Cannot read .*: it has only 0 bytes; .*\n$/],
    [new TextEncoder().encode("not a file of tokens at all"), /^error: Cannot read .*header.*\n$/],
    [whole.subarray(0, whole.length - 10), /^error: Cannot read .*but the file has.*\n$/],
    [
      await Deno.readFile(`${MODEL}/model.safetensors`),
      /^error: Cannot read tensor "soft_tokens" of .*: the file has no such tensor, only .*\n$/,
    ],
  ];
  for (const [contents, message] of cases) {
    if (contents) await Deno.writeFile(path, contents);
    else await Deno.remove(path);
    const { code, out, err } = await callCli(["inspect", path]);
    assertEquals([code, out], [2, ""]);
    assertMatch(err, message);
    await writeTokens(path);
  }
});
