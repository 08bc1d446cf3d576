import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { utimesSync } from "node:fs";
import { exampleLoader } from "../../training/example_loader.ts";
import { StorageError } from "../../runtime/errors.ts";
import { TrainingError } from "../../training/errors.ts";
import {
  makeTargets,
  type MakeTargetsOptions,
  planTargets,
  type TargetsRequest,
} from "../../training/targets_phase.ts";
import { type ResponseSource, targetKey } from "../../training/target.ts";
import { openTargetStore, pastShape } from "../../training/target_store.ts";
import { kvZip } from "../../policies/kvzip.ts";
import type { ScorerPolicy } from "../../policies/policy.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import { turnEnd } from "../../runtime/tokenizer/turn_end.ts";
import { assertClose } from "../_close.ts";
import { newSequence, randomIds, tinyModel } from "../_test_model.ts";
import { withFolder } from "../_temp_folder.ts";
import { wordTokenizer } from "../_word_tokenizer.ts";

const SELF: ResponseSource = { kind: "self", tokens: 3 };

const prompts = (response: ResponseSource = SELF) =>
  [20, 31, 12].map((length, seed) => ({ ids: randomIds(length, 250, seed + 1), response }));

/** Runs `use` with the first phase on a tiny model, in a folder of its own. */
async function withTargets(
  use: (make: (changes?: Changes) => Promise<Made>, folder: string) => unknown,
): Promise<void> {
  await using tiny = await tinyModel("tiny-llama");
  const { engine } = tiny.model;
  await withFolder(async (folder) => {
    await use(async (changes) => {
      const store = openTargetStore(folder);
      const counts: number[][] = [];
      const { signal, onProgress, ...others } = changes ?? {};
      const plan = planTargets({
        prompts: prompts(),
        engine,
        tokenizer: wordTokenizer(engine.config.vocabulary),
        model: { fingerprint: "abc", precision: "fp32" },
        store,
        keepPast: true,
        ...others,
      });
      await makeTargets(plan, {
        onProgress(...count) {
          counts.push(count);
          onProgress?.(...count);
        },
        ...(signal ? { signal } : {}),
      });
      return { keys: plan.keys, counts, store, engine };
    }, folder);
  });
}

type Changes = Partial<TargetsRequest> & MakeTargetsOptions;

type Made =
  & Pick<TargetsRequest, "store" | "engine">
  & { readonly keys: readonly string[]; readonly counts: number[][] };

const madeIn = ({ counts }: Made) => {
  const [done = 0, , found = 0] = counts.at(-1) ?? [];
  return done - found;
};

/** Bytes of all files of a folder, by name. */
function snapshot(folder: string): Record<string, Uint8Array> {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  return Object.fromEntries(names.map((name) => [name, Deno.readFileSync(`${folder}/${name}`)]));
}

Deno.test("makeTargets() makes each target once and gives their names in order", async () => {
  await withTargets(async (make) => {
    const first = await make();
    assertEquals(first.counts, [[0, 3, 0], [1, 3, 0], [2, 3, 0], [3, 3, 0]]);
    const second = await make();
    assertEquals(second.counts, [[3, 3, 3]]);
    assertEquals(second.keys, first.keys);
    const turned = await make({ prompts: prompts().toReversed() });
    assertEquals(turned.keys, first.keys.toReversed());
    assertEquals(madeIn(turned), 0);
    const [key = ""] = first.keys;
    const { prompt, response, attention } = first.store.load(key);
    assertEquals([...prompt], randomIds(20, 250, 1));
    assertEquals(response.length, 3);
    const { layers, heads } = first.engine.config;
    assertEquals(attention.length, layers * heads * 20);
    assertEquals(first.store.loadPast(key, pastShape(first.engine, 20)).length, layers);
  });
});

Deno.test("makeTargets() keeps several maps of an answer, those besides the mean in 16 bits", async () => {
  await withTargets(async (make) => {
    const { keys: [key = ""], store, engine } = await make();
    const target = store.load(key);
    const none = new Float32Array();
    const { max = none, top = none, segments = none } = target.others ?? {};
    const { attention } = target;
    assertEquals(
      [max.length, top.length, segments.length],
      [1, 1, 4].map((n) => n * attention.length),
    );
    // The answer has three tokens: the mean of the highest four is that of all.
    assertClose(top, attention, { absolute: 1e-3 });
    assert(max.every((value, at) => value > (attention[at] ?? NaN) - 1e-3));
    assert(max.some((value, at) => value > 1.05 * (attention[at] ?? NaN)));
    assertEquals(segments, new Float32Array(new Float16Array(segments)));
    // What an earlier version made has the mean alone.
    const { others: _, ...mean } = target;
    await store.save(key, mean);
    const { layers, heads } = engine.config;
    const shape = { prompt: randomIds(20, 250, 1), layers, heads };
    assertEquals([store.has(key, shape), store.has(key, { ...shape, answered: false })], [
      false,
      true,
    ]);
    assertEquals(store.load(key), mean);
    assertEquals(madeIn(await make()), 1);
    assertEquals(store.load(key), target);
  });
});

Deno.test("makeTargets() of a repetition keeps what KVzip scores with", async () => {
  await withTargets(async (make) => {
    const repeated: ResponseSource = { kind: "repeated", chunk: 16 };
    const { keys: [key = ""], store, engine } = await make({ prompts: prompts(repeated) });
    const { prompt, response, attention, others } = store.load(key);
    assertEquals([response, others], [prompt, undefined]);
    const { layers, heads } = engine.config;
    const seen: Float32Array[] = [];
    const { evidence } = kvZip({ chunk: 16 });
    const policy: ScorerPolicy = {
      name: "shown",
      evidence,
      async score(layer) {
        seen.push((await layer.attention()).slice());
        return new Float32Array(layer.kvHeads * layer.length);
      },
    };
    const tokenizer = wordTokenizer(engine.config.vocabulary);
    const facts = {
      ...{ hidden: 1, layers, fingerprint: "", identity: "", embeddingRms: 1 },
      readSoftTokens: () => Promise.reject(new Error("none")),
      readModelFile: () => Promise.reject(new Error("none")),
      encode: (text: string) => tokenizer.encode(text, { bos: false }),
      turnEnd: turnEnd(tokenizer),
    };
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    await readPrompt({
      ...{ engine, sequence, facts, policy, ids: [...prompt], scores: false, chunk: 512 },
      budget: 10,
      now: () => 0,
    });
    assertEquals(cache.length(0), 10);
    assertEquals(seen.length, layers);
    assertClose(attention, seen.flatMap((map) => [...map]), { absolute: 1e-6 });
    assertEquals(attention.length, layers * heads * prompt.length);
    // Another size of the parts is another target.
    const other = await make({ prompts: prompts({ kind: "repeated", chunk: 32 }) });
    assertEquals(madeIn(other), 3);
  });
});

Deno.test("a number of a target that changed on disk is found when it is read, and made again", async () => {
  await withTargets(async (make, folder) => {
    const { keys: [key = ""], store, engine } = await make();
    const read = {
      target: () => void store.load(key),
      past: () => void store.loadPast(key, pastShape(engine, 20)),
    };
    for (const kind of ["target", "past"] as const) {
      const path = `${folder}/${key}.${kind}.safetensors`;
      const bytes = Deno.readFileSync(path);
      // The lowest bit of the last number: as plausible as it was.
      const at = kind === "target" ? bytes.length - 4 : bytes.length - 2;
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      Deno.writeFileSync(path, bytes);
      assertThrows(read[kind], TrainingError, `target ${key} in ${folder} is missing or damaged`);
      assertEquals(madeIn(await make()), 1);
      read[kind]();
    }
  });
});

Deno.test("makeTargets() makes others where model or answer are others", async () => {
  await withTargets(async (make) => {
    const { keys } = await make();
    const others = [
      await make({ prompts: prompts({ kind: "self", tokens: 4 }) }),
      await make({ prompts: prompts({ kind: "original", ids: [5, 6, 7] }) }),
      await make({ prompts: prompts({ kind: "original", ids: [5, 6] }) }),
      await make({ model: { fingerprint: "abd", precision: "fp32" } }),
      await make({ model: { fingerprint: "abc", precision: "int8" } }),
    ];
    for (const other of others) assertEquals(madeIn(other), 3);
    assertEquals(new Set([keys, ...others.map((other) => other.keys)].flat()).size, 18);
    const [, known] = others;
    assertEquals([...known?.store.load(known.keys[0] ?? "").response ?? []], [5, 6, 7]);
  });
});

Deno.test("makeTargets() ends an answer before the text that it is to end before", async () => {
  await withTargets(async (make) => {
    const tokens = 6;
    const whole = await make({ prompts: prompts({ kind: "self", tokens }) });
    for (const [place, prompt] of prompts().entries()) {
      const { response } = whole.store.load(whole.keys[place] ?? "");
      // The tokenizer writes token 5 as " 5".
      for (const [from, length] of [[3, 3], [0, 1]] as const) {
        const until = ` ${response[from]} `;
        const cut: ResponseSource = { kind: "self", tokens, until };
        const { keys, store } = await make({ prompts: [{ ...prompt, response: cut }] });
        const found = [...response].findIndex((id, at) => id === response[from] && at < tokens - 1);
        assertEquals(
          [...store.load(keys[0] ?? "").response],
          [...response.slice(0, Math.max(1, Math.min(found, length)))],
        );
      }
    }
  });
});

Deno.test("targetKey() is what targets on disk are already called", () => {
  const key = targetKey({ fingerprint: "abc", precision: "int4" }, [1, 2, 3], SELF);
  assertEquals(key, "52676c5818790e1adcea8ea716a6872f");
});

Deno.test("makeTargets() makes damaged, truncated and foreign files again", async () => {
  await withTargets(async (make, folder) => {
    const { keys: [key = "", other = ""] } = await make();
    const whole = snapshot(folder);
    const target = `${folder}/${key}.target.safetensors`;
    const past = `${folder}/${key}.past.safetensors`;
    const bytesOf = (path: string) => whole[path.slice(folder.length + 1)] ?? new Uint8Array();
    const damages: Record<string, () => void> = {
      "target removed": () => Deno.removeSync(target),
      "past removed": () => Deno.removeSync(past),
      "target empty": () => Deno.writeFileSync(target, new Uint8Array()),
      "target truncated": () => Deno.truncateSync(target, bytesOf(target).length - 1),
      "past truncated": () => Deno.truncateSync(past, bytesOf(past).length - 1),
      "header truncated": () => Deno.truncateSync(past, 30),
      "no safetensors": () => Deno.writeTextFileSync(target, "hello, this is not a target"),
      "target of another prompt": () =>
        Deno.copyFileSync(`${folder}/${other}.target.safetensors`, target),
      "past of another prompt": () =>
        Deno.copyFileSync(`${folder}/${other}.past.safetensors`, past),
      "past for target": () => Deno.copyFileSync(past, target),
      "target for past": () => Deno.copyFileSync(target, past),
    };
    for (const [name, damage] of Object.entries(damages)) {
      damage();
      assertEquals(madeIn(await make()), 1, name);
      assertEquals(snapshot(folder), whole, name);
    }
  });
});

Deno.test("makeTargets() keeps no keys and values unless asked to, and adds them later", async () => {
  await withTargets(async (make, folder) => {
    await make({ keepPast: false });
    assertEquals(Object.keys(snapshot(folder)).length, 3);
    assertEquals(madeIn(await make({ keepPast: false })), 0);
    assertEquals(madeIn(await make()), 3);
    assertEquals(Object.keys(snapshot(folder)).length, 6);
    assertEquals(madeIn(await make({ keepPast: false })), 0);
  });
});

Deno.test("makeTargets() stops between two prompts, and what it made is found again", async () => {
  await withTargets(async (make) => {
    const controller = new AbortController();
    const onProgress = (done: number) => done === 2 && controller.abort();
    await assertRejects(() => make({ signal: controller.signal, onProgress }), DOMException);
    assertEquals((await make()).counts, [[2, 3, 2], [3, 3, 2]]);
  });
});

Deno.test("exampleLoader() recomputes keys and values to the very bits that are kept", async () => {
  await withTargets(async (make) => {
    const { engine, store, keys } = await make();
    const kept = exampleLoader(store, engine.config, undefined);
    const bare = { ...store, hasPast: () => false };
    const recomputed = exampleLoader(bare, engine.config, engine);
    for (const key of keys) assertEquals(await recomputed(key), await kept(key));
  });
});

Deno.test("exampleLoader() names a target that was lost and has it made again", async () => {
  await withTargets(async (make, folder) => {
    const { engine, store, keys: [key = "", other = ""] } = await make();
    const load = exampleLoader(store, engine.config, undefined);
    const target = `${folder}/${key}.target.safetensors`;
    const bytes = Deno.readFileSync(target);
    // What is no attention in a file whose header is sound.
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    Deno.writeFileSync(target, bytes.fill(0xff, 8 + length));
    const error = await assertRejects(() => load(key), TrainingError);
    assertEquals(
      error.message,
      `Cannot go on training: target ${key} in ${folder} is missing or damaged; 'resume' makes it ` +
        "again and goes on",
    );
    Deno.removeSync(`${folder}/${other}.past.safetensors`);
    await assertRejects(() => load(other), TrainingError, other);
    assertEquals(madeIn(await make()), 2);
    await load(key);
    await load(other);
  });
});

Deno.test("openTargetStore() removes what killed runs left, and only that", async () => {
  await withFolder((folder) => {
    for (const name of ["old.tmp", "new.tmp", "old.safetensors"]) {
      Deno.writeTextFileSync(`${folder}/${name}`, name);
    }
    const yesterday = Date.now() / 1000 - 86_400;
    for (const name of ["old.tmp", "old.safetensors"]) {
      utimesSync(`${folder}/${name}`, yesterday, yesterday);
    }
    openTargetStore(folder);
    assertEquals(Object.keys(snapshot(folder)), ["new.tmp", "old.safetensors"]);
  });
});

Deno.test("openTargetStore() refuses places that it cannot write to, and disks that are full", async () => {
  await withFolder((folder) => {
    Deno.writeTextFileSync(`${folder}/file`, "");
    assertThrows(() => openTargetStore(`${folder}/file/targets`), StorageError, "Cannot write");
    const store = openTargetStore(`${folder}/made/targets`);
    store.demandRoom([1000, 1000]);
    const error = assertThrows(() => store.demandRoom([4e17, 4e17]), TrainingError);
    assert(
      /^Cannot make 2 targets in .*: they take 800000000.0 GB, .* GB are free; .*'recompute'$/
        .test(error.message),
      error.message,
    );
  });
});

Deno.test("pastShape() follows the model and the length of the prompt", async () => {
  await withTargets(async (make) => {
    const { engine, store, keys: [key = ""] } = await make();
    const shape = pastShape(engine, 20);
    assert(store.hasPast(key, shape));
    assert(!store.hasPast(key, pastShape(engine, 21)));
    assert(!store.hasPast(key, { ...shape, tokens: [...shape.tokens, 20] }));
    assertNotEquals(shape.width, 0);
  });
});
