import { createSoftKernel } from "../kernels/soft_kernel.ts";
import { openCheckpoint } from "../runtime/checkpoint/open.ts";
import { loadModel } from "../runtime/model.ts";
import { modelFacts } from "../runtime/models/facts.ts";
import type { FetchProgress } from "../runtime/models/fetch_context.ts";
import { stepModel } from "../runtime/weights/step_model.ts";
import { readConversations } from "./data/conversations.ts";
import type { ConversationSet } from "./data/example.ts";
import { exampleLoader } from "./example_loader.ts";
import { initialEmbeddings } from "./initial_tokens.ts";
import {
  optimise,
  type OptimiseRequest,
  type Progress,
  type StepReport,
  validationOf,
} from "./optimise.ts";
import { trainingPrompts } from "./prompts.ts";
import { openLog } from "./log.ts";
import { checkPaths, claimRun, hashOf, runPaths } from "./run_files.ts";
import { freshProgress, loadProgress, saveProgress } from "./saved_progress.ts";
import { checkSettings, groupsOf, type TrainingSettings } from "./settings.ts";
import { demandWhole } from "./soft_token_settings.ts";
import { softStep } from "./soft_step.ts";
import { openTargetStore } from "./target_store.ts";
import { makeTargets, planTargets, type TargetsBy } from "./targets_phase.ts";
import { initialTensors } from "./trainable.ts";
import { type TrainingResult, writeResult } from "./result.ts";
import type { Validation } from "./validation.ts";
import { demandObject } from "../runtime/given.ts";
import { demandGlobalLayers, findRunModel } from "./run_model.ts";

/** What a training run is to do. */
export interface TrainingRequest {
  /** Model, as `loadModel` takes it. */
  readonly model: string;
  /** File of conversations. */
  readonly data: string;
  /** File of soft tokens that is made; its log and figure lie beside it. */
  readonly out: string;
  /** What the soft tokens are trained to. */
  readonly settings: TrainingSettings;
  /** Folder of targets, shared by runs. @default {a folder beside `out`} */
  readonly targets?: string;
  /** Make keys and values again at every visit: slower, but nothing of them is kept on disk. */
  readonly recompute: boolean;
  /** Go on with an interrupted run. */
  readonly resume: boolean;
  /** Steps between two savings. */
  readonly saveEvery: number;
  /** Steps between two validations. */
  readonly validateEvery: number;
  /** Threads. */
  readonly threads: number;
  /** Folder for models and converted weights. */
  readonly home: string;
  /** For the card: what was run, by which version, on which day. */
  readonly origin: { readonly command: string; readonly version: string; readonly date: string };
  /** Milliseconds since some moment. */
  readonly now: () => number;
  /** Ends it early. */
  readonly signal?: AbortSignal;
  /** Follows the run. */
  readonly watch?: TrainingWatch;
}

/** Called as a run gets on. */
export interface TrainingWatch {
  /** A model is being fetched. */
  readonly onFetch?: (progress: FetchProgress) => void;
  /** Something worth knowing happened. */
  readonly onNote?: (text: string) => void;
  /** Targets that are done, of how many, and how many of them were found on disk. */
  readonly onTarget?: (done: number, total: number, found: number) => void;
  /** The held-out examples were measured before the first step. */
  readonly onStart?: (validation: Validation) => void;
  /** A step is done. */
  readonly onStep?: (report: StepReport) => void;
  /** From here on the run can be resumed. */
  readonly onSaved?: (step: number) => void;
}

/**
 * Trains soft tokens: targets first, then gradient descent. Both phases may be interrupted at any
 * moment, killed even, and go on with `resume`; the result is the same.
 *
 * @throws {TrainingError} If the data, the settings or the place of the result are unusable, or the
 * training diverges.
 * @throws {CheckpointError} If the model is unusable, or the tokens to start from are.
 *
 * @example
 * ```ts
 * import { DEFAULT_SETTINGS } from "./settings.ts";
 * import { trainSoftTokens } from "./train.ts";
 * import { assertRejects } from "@std/assert";
 *
 * const training = trainSoftTokens({
 *   model: "smollm2-135m-instruct",
 *   data: "no_such_conversations.json",
 *   out: "soft.safetensors",
 *   settings: { ...DEFAULT_SETTINGS, samples: 200 },
 *   recompute: false,
 *   resume: false,
 *   saveEvery: 25,
 *   validateEvery: 100,
 *   threads: 2,
 *   home: "models",
 *   origin: { command: "train", version: "1.0.0", date: "2026-01-01" },
 *   now: () => performance.now(),
 * });
 * await assertRejects(() => training, Error, "no_such_conversations.json");
 * ```
 */
export function trainSoftTokens(request: TrainingRequest): Promise<TrainingResult> {
  return trainWith(request, makeTargets);
}

/** As {@linkcode trainSoftTokens}, with targets that something else makes. */
export async function trainWith(
  request: TrainingRequest,
  targetsBy: TargetsBy,
): Promise<TrainingResult> {
  demandObject("train", "the request", request);
  const { settings, home, threads, signal, resume, watch = {} } = request;
  const keepPast = !request.recompute;
  checkSettings(settings);
  demandWhole("saveEvery", request.saveEvery);
  demandWhole("validateEvery", request.validateEvery);
  const paths = runPaths(request.out, request.targets);
  const inputs = [request.data, request.model, settings.initial];
  checkPaths(paths, { inputs, resume });
  let set: ConversationSet | undefined = await readConversations(request.data);
  const dataHash = set.hash;
  const path = await findRunModel(request);
  const checkpoint = await openCheckpoint(path, { home });
  const { config } = checkpoint;
  const judged = demandGlobalLayers(config, request.model);
  const facts = await modelFacts(checkpoint);
  const hash = hashOf({ settings, data: dataHash, model: facts.fingerprint });
  using _claim = await claimRun(paths);
  const found = resume ? await loadProgress(paths, hash) : undefined;

  await using model = await loadModel(path, { home, threads });
  const prompts = trainingPrompts(set, model.tokenizer, config.context, settings);
  // Its texts may be large, and are not needed again.
  set = undefined;
  for (const note of prompts.notes) watch.onNote?.(note);
  const save = async (progress: Progress) => {
    await saveProgress(paths, hash, progress);
    watch.onSaved?.(progress.step);
  };
  const begin = async () => {
    const { tokenizer } = model;
    const request = { ...settings, checkpoint, tokenizer, facts };
    const { embeddings, note } = await initialEmbeddings(request);
    if (note) watch.onNote?.(note);
    const layers = { length: config.layers };
    return freshProgress(initialTensors(embeddings, { ...config, layers }, settings));
  };
  const start = found ?? await begin();
  const store = openTargetStore(paths.targets);
  const plan = planTargets({
    engine: model.engine,
    tokenizer: model.tokenizer,
    model: { fingerprint: facts.fingerprint, precision: model.precision },
    store,
    keepPast,
    prompts: [...prompts.validate, ...prompts.train],
  });
  // Nothing can be refused any more: from here on the run can be resumed.
  await save(start);
  await targetsBy(plan, {
    source: { name: request.model, path },
    ...(watch.onTarget ? { onProgress: watch.onTarget } : {}),
    ...(signal ? { signal } : {}),
  });
  if (keepPast) await model[Symbol.asyncDispose]();

  const described = await stepModel(checkpoint, {
    precision: "fp32",
    home,
  });
  await using kernel = await createSoftKernel(described, {
    tokens: settings.tokens,
    judged,
    loss: settings.loss,
    average: settings.average,
    normalise: settings.normalise,
    leaveFirst: settings.leaveFirst,
    leaveLast: settings.leaveLast,
    groups: groupsOf(settings),
    past: "float16",
    threads,
    ...(settings.adapters ? { adapters: settings.adapters } : {}),
  });
  using log = await openLog(paths.log, start.step > 0 ? { resumeAt: start.step } : {});
  const optimisation: OptimiseRequest = {
    settings,
    run: softStep(kernel, config, settings),
    heads: config,
    layers: judged.length,
    validation: plan.keys.slice(0, prompts.validate.length),
    train: plan.keys.slice(prompts.validate.length),
    load: exampleLoader(store, config, keepPast ? undefined : model.engine, signal),
    start,
    saveEvery: request.saveEvery,
    validateEvery: request.validateEvery,
    save,
    wayOut: {
      text: `start again with a lower 'rate', another 'out' and 'targets' ${paths.targets}`,
      options: ["rate", "out", "targets"],
    },
    onStep(report) {
      log.write(report);
      watch.onStep?.(report);
    },
    now: request.now,
    ...(signal ? { signal } : {}),
  };
  if (start.step === 0) {
    const validation = await validationOf(optimisation, start.tensors);
    if (validation) {
      log.write({ step: 0, validation });
      watch.onStart?.(validation);
    }
  }
  const done = await optimise(optimisation);
  const { model: name, origin } = request;
  return await writeResult({ paths, model: name, facts, settings, dataHash, origin, done });
}
