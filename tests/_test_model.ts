import { fileURLToPath } from "node:url";
import type { Checkpoint } from "../runtime/checkpoint/checkpoint.ts";
import type { HostKvCache, KvCache } from "../runtime/cache/kv_cache.ts";
import { openCheckpoint } from "../runtime/checkpoint/open.ts";
import type { Engine } from "../runtime/engine/engine.ts";
import type { Sequence } from "../runtime/engine/sequence.ts";
import type { HostEngine } from "../runtime/engine/host/host_engine.ts";
import { loadModel, type LoadOptions, type Model } from "../runtime/model.ts";
import {
  type FolderOptions,
  type GgufOptions,
  type RandomModel,
  writeFolder,
  writeGguf,
} from "./_random_checkpoint.ts";
import { type ReferenceModel, referenceModel } from "./_reference_model.ts";

/** Random checkpoints with known answers. */
export const TINY = ["tiny-llama", "tiny-llama31", "tiny-mistral", "tiny-qwen2", "tiny-qwen3"];

/** Random checkpoints with sliding windows, with known answers. */
export const WINDOWED = ["tiny-mistral-window", "tiny-gemma3"];

/** Random checkpoints of families, windows and rotations that the others have not, with known answers. */
export const FAMILY_GOLDENS = [
  "tiny-phi3",
  "tiny-smollm3",
  "tiny-qwen2-window",
  "tiny-qwen3-window",
  "tiny-gemma3-odd",
  "tiny-gemma3-vision",
];

/** A loaded model, its slow twin, and the folder that both vanish with. */
export interface TestModel extends AsyncDisposable {
  readonly model: Model<HostEngine>;
  /** The same checkpoint in plain TypeScript; read on first use. */
  readonly reference: ReferenceModel;
  readonly checkpoint: Checkpoint;
  /** `home` of the model. */
  readonly home: string;
}

/** Path of a folder or file in `tests/fixtures`. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
}

/** Loads a checkpoint, in fp32 and with one thread unless said otherwise. */
export async function testModel(
  path: string,
  { device: _, ...options }: LoadOptions = {},
): Promise<TestModel> {
  const home = options.home ?? await Deno.makeTempDir();
  const model = await loadModel(path, { precision: "fp32", threads: 1, home, ...options });
  const checkpoint = await openCheckpoint(path, { home });
  let reference: ReferenceModel | undefined;
  return {
    model,
    checkpoint,
    home,
    get reference() {
      return reference ??= referenceModel(checkpoint);
    },
    async [Symbol.asyncDispose]() {
      await model[Symbol.asyncDispose]();
      await Deno.remove(home, { recursive: true });
    },
  };
}

/** Loads one of {@linkcode TINY}. */
export function tinyModel(name: string, options: LoadOptions = {}): Promise<TestModel> {
  return testModel(fixture(name), options);
}

/** How a random model is written and loaded. */
export interface RandomOptions extends LoadOptions {
  /** Present: as a GGUF file. Otherwise as a folder. */
  readonly gguf?: GgufOptions;
  readonly folder?: FolderOptions;
}

/** Writes a random checkpoint and loads it. */
export async function randomTestModel(
  spec: RandomModel,
  { gguf, folder, ...options }: RandomOptions = {},
): Promise<TestModel> {
  const home = await Deno.makeTempDir();
  const path = gguf ? `${home}/model.gguf` : `${home}/model`;
  if (gguf) await writeGguf(path, spec, gguf);
  else {
    await Deno.mkdir(path);
    await writeFolder(path, spec, folder);
  }
  return await testModel(path, { home, ...options });
}

/** An empty sequence of an engine. */
export function newSequence(engine: HostEngine): Sequence<HostKvCache>;
export function newSequence(engine: Engine): Sequence;
export function newSequence(engine: Engine): Sequence<KvCache> {
  return { cache: engine.newCache(), position: 0, planned: 0 };
}

/** Different token ids in no order, never 0 or 1; the same seed gives the same ones. */
export function randomIds(count: number, vocabulary: number, seed = 1): number[] {
  const ids = Array.from({ length: vocabulary - 2 }, (_, index) => index + 2);
  let state = seed >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = i + (state >>> 8) % (ids.length - i);
    [ids[i], ids[j]] = [ids[j] ?? 0, ids[i] ?? 0];
  }
  return ids.slice(0, count);
}
