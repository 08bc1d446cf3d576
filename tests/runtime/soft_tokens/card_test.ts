import { assertEquals, assertRejects } from "@std/assert";
import { CheckpointError } from "../../../runtime/errors.ts";
import {
  parseCard,
  type SoftTokenCard,
  writeSoftTokens,
} from "../../../runtime/soft_tokens/card.ts";
import { readSoftTokens } from "../../../runtime/soft_tokens/read.ts";

const CARD: Required<SoftTokenCard> = {
  model: "Tiny",
  dataHash: "d41d8cd9",
  settings: { tokens: 2, lr: 0.01 },
  lossStart: 1e-7,
  lossEnd: 0,
  hitRate: { "64": 0.75 },
  created: "2026-11-24",
  version: "0.1.0",
  command: "kvjudge train judge-q --model tiny",
};
const MODEL = { fingerprint: "abc", identity: "def" };
const TOKENS = { count: 2, hidden: 3, embeddings: new Float32Array([1, 2, 3, 4, 5, 6]) };
const ADAPTERS = {
  rank: 2,
  tensors: {
    "adapter.0.v.a": new Float32Array([1, 2, 3, 4, 5, 6]),
    "adapter.0.v.b": new Float32Array([7, 8]),
  },
};

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("writeSoftTokens() writes what readSoftTokens() and parseCard() read", () =>
  inFolder(async (folder) => {
    const path = `${folder}/soft.safetensors`;
    for (const tokens of [TOKENS, { ...TOKENS, adapters: ADAPTERS }]) {
      await writeSoftTokens(path, tokens, MODEL, CARD);
      const { card = {}, trained, ...read } = await readSoftTokens(path);
      assertEquals(read, { ...tokens, ...MODEL });
      assertEquals(trained, true);
      assertEquals(parseCard(card), CARD);
    }
    await writeSoftTokens(path, TOKENS, MODEL);
    assertEquals((await readSoftTokens(path)).card, {});
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["soft.safetensors"]);
  }));

Deno.test("writeSoftTokens() leaves the old file whole where it fails", () =>
  inFolder(async (folder) => {
    const path = `${folder}/soft.safetensors`;
    await writeSoftTokens(path, TOKENS, MODEL);
    await assertRejects(
      () => writeSoftTokens(path, { ...TOKENS, count: 3 }, MODEL),
      CheckpointError,
      "6 elements of F32 do not make F32 [3, 3]",
    );
    assertEquals((await readSoftTokens(path)).embeddings, TOKENS.embeddings);
    await assertRejects(
      () => writeSoftTokens(`${folder}/missing/soft.safetensors`, TOKENS, MODEL),
      CheckpointError,
      `Cannot write ${folder}/missing/soft.safetensors`,
    );
  }));

Deno.test("parseCard() leaves out what is missing or unreadable", () => {
  assertEquals(parseCard({}), {});
  const broken = { loss_start: "low", loss_end: "", settings: "{", hit_rate: "[1]", format: "pt" };
  assertEquals(parseCard({ ...broken, created: "2026" }), { created: "2026" });
});
