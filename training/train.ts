import { createSoftKernel } from "../kernels/soft_kernel.ts";
import { openCheckpoint } from "../runtime/checkpoint/open.ts";
import { loadModel } from "../runtime/model.ts";
import { modelFacts } from "../runtime/model_facts.ts";
import type { FetchProgress } from "../runtime/models/fetch_context.ts";
import { resolveModel } from "../runtime/models/resolve_model.ts";
import { stepModel } from "../runtime/weights/step_model.ts";
import { readConversations } from "./data/conversations.ts";
import { exampleLoader } from "./example_loader.ts";
import { initialEmbeddings } from "./initial_tokens.ts";
import { optimise, type OptimiseRequest, type StepReport, validationOf } from "./optimise.ts";
import { trainingPrompts } from "./prompts.ts";
import { openLog } from "./log.ts";
import {
  findProgress,
  freshProgress,
  hashOf,
  lockRun,
  runPaths,
  saveProgress,
} from "./run_files.ts";
import { checkSettings, type TrainingSettings } from "./settings.ts";
import { softStep } from "./soft_step.ts";
import { openTargetStore } from "./target_store.ts";
import { makeTargets } from "./targets_phase.ts";
import { initialTensors } from "./trainable.ts";
import { type TrainingResult, writeResult } from "./result.ts";

/** What a training run is to do. */
export interface TrainingRequest {
  /** Model, as `loadModel` takes it. */
  readonly model: string;
  /** File of conversations. */
  readonly data: string;
  /** File of soft tokens that is made; its log and figure lie beside it. */
  readonly out: string;
  readonly settings: TrainingSettings;
  /** Folder of targets, shared by runs. @default {a folder beside `out`} */
  readonly cache?: string;
  /** Keep keys and values on disk rather than make them anew at every visit. */
  readonly keepPast: boolean;
  /** Go on with an interrupted run. */
  readonly resume: boolean;
  readonly saveEvery: number;
  readonly validateEvery: number;
  readonly threads: number;
  /** Folder for models and converted weights. */
  readonly home: string;
  /** For the card: what was run, by which version, on which day. */
  readonly origin: { readonly command: string; readonly version: string; readonly date: string };
  /** Milliseconds since some moment. */
  readonly now: () => number;
  readonly signal?: AbortSignal;
  readonly watch?: TrainingWatch;
}

/** Is told how a run gets on. */
export interface TrainingWatch {
  readonly onFetch?: (progress: FetchProgress) => void;
  readonly onNote?: (text: string) => void;
  readonly onTarget?: (done: number, total: number, found: number) => void;
  readonly onStep?: (report: StepReport) => void;
}

/**
 * Trains soft tokens: targets first, then gradient descent. Both phases may be interrupted at any
 * moment, killed even, and go on with `resume`; the result is the same.
 *
 * @throws {TrainingError} If the data or the settings are unusable, or the training diverges.
 * @throws {CheckpointError} If the model is.
 */
export async function trainSoftTokens(request: TrainingRequest): Promise<TrainingResult> {
  const { settings, home, threads, signal, watch = {} } = request;
  checkSettings(settings);
  const set = await readConversations(request.data);
  const path = await resolveModel(request.model, {
    home,
    ...(watch.onFetch ? { onProgress: watch.onFetch } : {}),
    ...(signal ? { signal } : {}),
  });
  const checkpoint = await openCheckpoint(path, { home });
  const facts = await modelFacts(checkpoint);
  const hash = hashOf({ settings, data: set.hash, model: facts.fingerprint });
  const paths = runPaths(request.out, request.cache);
  using _lock = await lockRun(paths);
  const found = await findProgress(paths, hash, request.resume);

  const store = openTargetStore(paths.targets);
  await using model = await loadModel(path, { home, threads });
  const prompts = trainingPrompts(set, model.tokenizer, settings);
  for (const note of prompts.notes) watch.onNote?.(note);
  const targets = {
    engine: model.engine,
    model: { fingerprint: facts.fingerprint, precision: model.precision },
    store,
    keepPast: request.keepPast,
    ...(signal ? { signal } : {}),
  };
  const keys = await makeTargets({
    ...targets,
    prompts: [...prompts.validate, ...prompts.train],
    ...(watch.onTarget ? { onProgress: watch.onTarget } : {}),
  });
  const start = found ?? freshProgress(
    initialTensors(
      await initialEmbeddings({
        ...settings,
        checkpoint,
        tokenizer: model.tokenizer,
        embeddingRms: facts.embeddingRms,
        readSoftTokens: facts.readSoftTokens,
      }),
      { ...checkpoint.config, layers: { length: checkpoint.config.layers } },
      settings,
    ),
  );
  if (request.keepPast) await model[Symbol.asyncDispose]();

  const described = await stepModel(checkpoint, {
    precision: "fp32",
    prefillArithmetic: "float",
    home,
  });
  await using kernel = await createSoftKernel(described, {
    tokens: settings.tokens,
    loss: settings.loss,
    average: settings.average,
    past: "float16",
    threads,
    ...(settings.adapters ? { adapters: settings.adapters } : {}),
  });
  using log = await openLog(paths.log, found ? { resumeAt: found.step } : {});
  const optimisation: OptimiseRequest = {
    settings,
    run: softStep(kernel, checkpoint.config, settings),
    heads: checkpoint.config,
    layers: checkpoint.config.layers,
    validation: keys.slice(0, prompts.validate.length),
    train: keys.slice(prompts.validate.length),
    load: exampleLoader(store, request.keepPast ? undefined : model.engine, signal),
    start,
    saveEvery: request.saveEvery,
    validateEvery: request.validateEvery,
    save: (progress) => saveProgress(paths, hash, progress),
    onStep(report) {
      log.write(report);
      watch.onStep?.(report);
    },
    now: request.now,
    ...(signal ? { signal } : {}),
  };
  if (!found) {
    const validation = await validationOf(optimisation, start.tensors);
    if (validation) log.write({ step: 0, validation });
  }
  const done = await optimise(optimisation);
  const { model: name, origin } = request;
  return await writeResult({
    paths,
    model: name,
    facts,
    settings,
    dataHash: set.hash,
    origin,
    done,
  });
}
