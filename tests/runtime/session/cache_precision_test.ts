import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { adaKv } from "../../../policies/ada_kv.ts";
import { rerotate } from "../../../policies/rerotate.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { streamingLlm } from "../../../policies/streaming_llm.ts";
import { whileDecoding } from "../../../policies/while_decoding.ts";
import { whileReading } from "../../../policies/while_reading.ts";
import type { CachePrecision } from "../../../runtime/cache/narrow_rows.ts";
import { PromptError, SavedCacheError } from "../../../runtime/errors.ts";
import { readSafetensors } from "../../../runtime/checkpoint/safetensors.ts";
import { readSavedCacheInfo } from "../../../runtime/session/saved/file.ts";
import { createSession } from "../../../runtime/session/open.ts";
import { sessionSettings } from "../../../runtime/session/settings.ts";
import type { Session } from "../../../runtime/session/session.ts";
import { largestDifference } from "../../_close.ts";
import { randomIds, tinyModel } from "../../_test_model.ts";
import { withFolder } from "../../_temp_folder.ts";
import { wordTokenizer } from "../../_word_tokenizer.ts";

const inner = snapKv({ window: 8, kernel: 3 });
const POLICIES = {
  snapkv: inner,
  "ada_kv, ragged heads": adaKv({ inner }),
  rerotate: rerotate({ inner }),
  "while_reading and while_decoding": whileDecoding({
    inner: whileReading({ inner, every: 16, keep: 48 }),
    every: 8,
    target: 24,
  }),
};

async function answered(session: Session, maxTokens = 12): Promise<readonly number[]> {
  const answer = session.generate({ maxTokens });
  for await (const _ of answer);
  return answer.ids;
}

for (const name of ["tiny-llama31", "tiny-gemma3"]) {
  for (const [label, policy] of Object.entries(POLICIES)) {
    Deno.test(`${name} at rest in 16 and 8 bits: marks, forks and saved caches go on alike: ${label}`, async () => {
      await using test = await tinyModel(name);
      await withFolder(async (folder) => {
        const ids = randomIds(150, test.model.config.vocabulary);
        const more = randomIds(40, test.model.config.vocabulary, 5);
        const sizes: number[] = [];
        for (const cachePrecision of ["fp32", "fp16", "int8"] as const) {
          const options = { policy, budget: 24, cachePrecision };
          await using session = test.model.session(options);
          await session.read({ ids });
          sizes.push(session.stats().bytes.now);
          await using fork = await session.fork();
          using mark = await session.mark();
          const expected = await answered(session);
          assertEquals(await answered(fork), expected, "fork");
          await session.rollback(mark);
          assertEquals(await answered(session), expected, "mark");
          await session.rollback(mark);

          const path = `${folder}/${cachePrecision}.cache`;
          const saved = await session.save(path);
          assertEquals(saved.precision, cachePrecision);
          assertEquals(readSavedCacheInfo(path), saved);
          await using loaded = test.model.session(options);
          await loaded.load(path);
          assertEquals(await answered(loaded), expected, "loaded");
          // Another session's precision is its own: the numbers stay those of the file.
          await using wide = test.model.session({ policy, budget: 24 });
          await wide.load(path);
          assertEquals(await answered(wide), expected, "loaded as floats");

          await session.append({ ids: more });
          const after = await answered(session);
          await session.rollback(mark);
          await session.append({ ids: more });
          assertEquals(await answered(session), after, "rolled back over an eviction");
        }
        const [wide = 0, half = 0, byte = 0] = sizes;
        // Tiny heads have a scale for every 8 or 16 numbers.
        assert(half < 0.62 * wide && byte < 0.45 * wide, `${sizes}`);
      });
    });
  }
}

Deno.test("pitfall 17, a shift of a quantised cache: conversations go beyond the context in 16 and 8 bits too", async () => {
  await using test = await tinyModel("tiny-llama31");
  const { engine, facts } = test.model;
  const config = { ...engine.config, context: 128, eosIds: [] };
  const tokenizer = wordTokenizer(config.vocabulary);
  const talk = async (cachePrecision: CachePrecision) => {
    const parts = { engine: { ...engine, config }, tokenizer, facts, now: () => 0 };
    // Whose choice no rounding changes.
    await using session = createSession(parts, {
      ...{ policy: streamingLlm(), budget: 48, cachePrecision },
    });
    const logits: Float32Array[] = [];
    for (let turn = 0; turn < 8; turn++) {
      const ids = randomIds(40, config.vocabulary, turn);
      logits.push((await session.append({ ids })).logits);
    }
    await using fork = await session.fork();
    assertEquals(await answered(fork), await answered(session));
    assertEquals([session.ids.length, session.stats().rerotations > 2], [332, true]);
    return logits;
  };
  const wide = await talk("fp32");
  // Of logits of up to 26.
  for (const [precision, most] of [["fp16", 0.1], ["int8", 1.5]] as const) {
    const narrow = await talk(precision);
    const off = Math.max(...narrow.map((one, turn) => largestDifference(one, wide[turn] ?? [])));
    assert(off > 0 && off < most, `${precision}: ${off}`);
  }
});

Deno.test("rounding reaches what is kept, and nothing where it is not asked for", async () => {
  await using test = await tinyModel("tiny-qwen3");
  const ids = randomIds(90, test.model.config.vocabulary);
  const logitsOf = async (cachePrecision: CachePrecision) => {
    await using session = test.model.session({
      policy: streamingLlm(),
      budget: 40,
      cachePrecision,
    });
    const { logits } = await session.read({ ids });
    const { logits: next } = await session.append({ ids: [5, 6, 7] });
    return { logits, next };
  };
  const [wide, half, byte] = [
    await logitsOf("fp32"),
    await logitsOf("fp16"),
    await logitsOf("int8"),
  ];
  // The prompt's own logits come before anything is rounded.
  assertEquals([half.logits, byte.logits], [wide.logits, wide.logits]);
  const off = (a: Float32Array) =>
    Math.max(...a.map((one, at) => Math.abs(one - (wide.next[at] ?? 0))));
  assert(off(half.next) > 0 && off(half.next) < 2e-2, `${off(half.next)}`);
  assert(off(byte.next) > off(half.next) && off(byte.next) < 0.5, `${off(byte.next)}`);
});

Deno.test("precisions that there are not, and those of a device, are refused in a sentence", () => {
  const policy = inner;
  const host = { chunk: 1, home: "host" } as const;
  for (const precision of ["int4", "", 8]) {
    const options: object = { policy, cachePrecision: precision };
    assertThrows(
      () => sessionSettings({ policy, ...options }, host),
      PromptError,
      `Cannot hold the cache in ${JSON.stringify(precision)}: 'cachePrecision' must be one of fp32`,
    );
  }
  const device = { chunk: 1, home: "device" } as const;
  assertEquals(sessionSettings({ policy }, device).cachePrecision, "fp32");
  assertThrows(
    () => sessionSettings({ policy, cachePrecision: "int8" }, device),
    PromptError,
    "Cannot hold the cache in int8 on a device",
  );
});

Deno.test("a narrow saved cache that is damaged is refused", async () => {
  await using test = await tinyModel("tiny-llama31");
  await withFolder(async (folder) => {
    const path = `${folder}/a.cache`;
    const options = { policy: inner, budget: 24, cachePrecision: "int8" } as const;
    await using session = test.model.session(options);
    await session.read({ ids: randomIds(60, test.model.config.vocabulary) });
    await session.save(path);
    const sound = await Deno.readFile(path);
    const { tensors } = readSafetensors(path);
    for (const name of ["keys.0", "values_scales.1", "keys_scales.0"]) {
      const bytes = sound.slice();
      const at = tensors.get(name)?.offset ?? 0;
      bytes[at + 1] = (bytes[at + 1] ?? 0) ^ 0x55;
      await Deno.writeFile(path, bytes);
      await assertRejects(() => session.load(path), SavedCacheError, "Cannot load");
    }
    const text = new TextDecoder("latin1").decode(sound);
    for (
      const [from, to] of [["keys_scales.0", "keys_scalez.0"], ['"I8"', '"U8"'], ["BF16", "F16 "]]
    ) {
      const broken = text.replace(from ?? "", to ?? "");
      await Deno.writeFile(path, Uint8Array.from(broken, (letter) => letter.charCodeAt(0)));
      await assertRejects(() => session.load(path), SavedCacheError, "Cannot load");
    }
  });
});
