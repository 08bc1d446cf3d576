import { createHostCache } from "../runtime/cache/host_cache.ts";
import type { HostEngine } from "../runtime/engine/host/host_engine.ts";
import type { Model } from "../runtime/model.ts";
import { createSession } from "../runtime/session/open.ts";
import type { Session, SessionOptions } from "../runtime/session/session.ts";
import { fixture, type TestModel, testModel, WINDOWED } from "./_test_model.ts";
import { wordTokenizer } from "./_word_tokenizer.ts";

const TWO_WINDOWS = "tiny-qwen3 of two windows";

/** Models whose layers slide, some or all: those with goldens, and one whose middle layer is global. */
export const WINDOW_MODELS: readonly string[] = [...WINDOWED, TWO_WINDOWS];

/** A window of the third model: no chunk and no budget of the tests is a multiple of it. */
const WINDOW = 24;

/** Loads one of {@linkcode WINDOW_MODELS}, or another of the fixtures. */
export async function windowModel(name: string): Promise<TestModel> {
  if (name !== TWO_WINDOWS) return await testModel(fixture(name));
  const home = await Deno.makeTempDir();
  const path = `${home}/model`;
  await Deno.mkdir(path);
  const from = fixture("tiny-qwen3");
  await Deno.copyFile(`${from}/model.safetensors`, `${path}/model.safetensors`);
  const config = JSON.parse(await Deno.readTextFile(`${from}/config.json`));
  await Deno.writeTextFile(
    `${path}/config.json`,
    JSON.stringify({
      ...config,
      sliding_window: WINDOW,
      use_sliding_window: true,
      layer_types: ["sliding_attention", "full_attention", "sliding_attention"],
    }),
  );
  return await testModel(path, { home });
}

/** What a session of a test is opened with. */
export interface WindowSession extends SessionOptions {
  /** Tokens of the model's context. @default {its own} */
  readonly context?: number;
  /** Entries that sliding layers keep beside those they show. @default {as always} */
  readonly slack?: number;
}

/** A session of a model that reads numbers as words and never ends an answer by itself. */
export function openWindowSession(
  { engine, facts }: Pick<Model<HostEngine>, "engine" | "facts">,
  { context, slack, ...options }: WindowSession,
): Session {
  const config = { ...engine.config, eosIds: [], context: context ?? engine.config.context };
  const { layers, kvHeads, headDim, layerKinds } = config;
  const windows = layerKinds.map(({ window }) => window);
  const newCache = () =>
    createHostCache({
      layers,
      kvHeads,
      headDim,
      windows,
      ...(slack === undefined ? {} : { slack }),
    });
  return createSession(
    {
      engine: { ...engine, config, newCache },
      tokenizer: wordTokenizer(config.vocabulary),
      facts,
      now: () => 0,
    },
    options,
  );
}
