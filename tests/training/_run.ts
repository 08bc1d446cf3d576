import { type TrainingRequest, trainSoftTokens } from "../../training/train.ts";
import type { TrainingResult } from "../../training/result.ts";
import { DEFAULT_SETTINGS, type TrainingSettings } from "../../training/settings.ts";
import { type RandomModel, writeFolder } from "../_random_checkpoint.ts";
import { fixture } from "../_test_model.ts";
import { textModel } from "../commands/_run_cli.ts";

/** A tiny model, conversations for it, and a folder that they vanish with. */
export interface TrainingBench extends AsyncDisposable {
  readonly folder: string;
  readonly model: string;
  readonly data: string;
  readonly settings: TrainingSettings;
  /** Trains into a file of the folder. */
  train(out: string, request?: Partial<TrainingRequest>): Promise<TrainingResult>;
  /** Bytes of a file of the folder. */
  bytes(name: string): Promise<Uint8Array>;
  /** Names of all files, folders left out, those of targets too. */
  files(): string[];
}

/** Settings with which a run takes a second. */
export const SMALL: TrainingSettings = {
  ...DEFAULT_SETTINGS,
  tokens: 4,
  samples: 6,
  validate: 2,
  epochs: 4,
  responseTokens: 4,
  initial: "random",
};

/** Conversations of about a hundred tokens, all different. */
export function conversations(count: number): string {
  const records = Array.from({ length: count }, (_, index) => ({
    messages: [{ role: "user", content: `Question ${index}: ${"why and how ".repeat(12)}?` }],
  }));
  return records.map((record) => `${JSON.stringify(record)}\n`).join("");
}

/**
 * Makes a bench; nothing outside its folder is written.
 *
 * @param base What another model is, which then has no chat template.
 */
export async function trainingBench(base?: RandomModel): Promise<TrainingBench> {
  const folder = await Deno.makeTempDir();
  const model = base ? await baseModel(folder, base) : await textModel(folder);
  const data = `${folder}/data.jsonl`;
  await Deno.writeTextFile(data, conversations(12));
  return {
    folder,
    model,
    data,
    settings: SMALL,
    train: (out, request) =>
      trainSoftTokens({
        model,
        data,
        out: `${folder}/${out}`,
        settings: SMALL,
        recompute: false,
        resume: false,
        saveEvery: 2,
        validateEvery: 5,
        threads: 1,
        home: `${folder}/home`,
        origin: { command: "train", version: "0", date: "2026-01-01" },
        now: steadyClock(),
        ...request,
      }),
    bytes: (name) => Deno.readFile(`${folder}/${name}`),
    files: () =>
      [...filesIn(folder)].filter((name) => !/^(home|text-model|base-model)\//.test(name)).sort(),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

async function baseModel(folder: string, spec: RandomModel): Promise<string> {
  const model = `${folder}/base-model`;
  await Deno.mkdir(model);
  await writeFolder(model, { vocabulary: 520, context: 512, eosIds: [], ...spec });
  await Deno.copyFile(fixture("tokenizers/byte_level.json"), `${model}/tokenizer.json`);
  return model;
}

/** A clock that goes on by a second whenever it is read, so that logs are alike. */
export function steadyClock(): () => number {
  let time = 0;
  return () => time += 1000;
}

function* filesIn(folder: string, prefix = ""): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (!isDirectory) yield `${prefix}${name}`;
    else if (name !== "targets") yield* filesIn(`${folder}/${name}`, `${prefix}${name}/`);
  }
}
