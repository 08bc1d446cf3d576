import { createRestoreKernel, type RestoreKernel } from "../../kernels/restore_kernel.ts";
import { createPrng } from "../../policies/_random.ts";
import type { Policy } from "../../policies/policy.ts";
import { openCheckpoint } from "../../runtime/checkpoint/open.ts";
import { fittedTo } from "../../runtime/evict/fitted.ts";
import { loadModel, type Model } from "../../runtime/model.ts";
import type { FetchProgress } from "../../runtime/models/fetch_context.ts";
import { rotaryTables } from "../../runtime/rotary/rotary_tables.ts";
import { writeSoftTokens } from "../../runtime/soft_tokens/card.ts";
import { SOFT_TOKENS_TENSOR } from "../../runtime/soft_tokens/read.ts";
import { stepModel } from "../../runtime/weights/step_model.ts";
import { batchOf } from "../batches.ts";
import { readConversations } from "../data/conversations.ts";
import { TrainingError } from "../errors.ts";
import { initialEmbeddings } from "../initial_tokens.ts";
import { createAdam } from "../optimiser/adam.ts";
import { addInto, clipByNorm } from "../optimiser/gradients.ts";
import { learningRate } from "../optimiser/learning_rate.ts";
import { portableName } from "../portable_name.ts";
import { type TrainingPrompt, trainingPrompts } from "../prompts.ts";
import { checkPaths, runPaths } from "../run_files.ts";
import { DEFAULT_SETTINGS } from "../settings.ts";
import { stepsOf } from "../soft_token_settings.ts";
import type { RestoringExample } from "./example.ts";
import { DEFAULT_ROOM, openPrompts, type ReadPrompts, type Visit } from "./read_prompts.ts";
import { checkRestoring, type RestoringSettings } from "./settings.ts";
import { demandGlobalLayers, findRunModel } from "../run_model.ts";

/** What a training of soft tokens that restore is to do. */
export interface RestoringRequest {
  /** Model, as `loadModel` takes it. */
  readonly model: string;
  /** File of conversations. */
  readonly data: string;
  /** File of soft tokens that is made. */
  readonly out: string;
  /** Chooses what stays besides them. */
  readonly policy: Policy;
  readonly settings: RestoringSettings;
  /** Bytes of prompts that are kept for later visits; others are read again. @default {1 GiB} */
  readonly room?: number;
  readonly threads: number;
  /** Folder for models and converted weights. */
  readonly home: string;
  /** For the card: what was run, by which version, on which day. */
  readonly origin: { readonly command: string; readonly version: string; readonly date: string };
  readonly signal?: AbortSignal;
  readonly watch?: RestoringWatch;
}

/** Called as a run gets on. */
export interface RestoringWatch {
  readonly onFetch?: (progress: FetchProgress) => void;
  readonly onNote?: (text: string) => void;
  /** A step is done. */
  readonly onStep?: (step: number, steps: number, loss: number) => void;
}

/** What came of it. */
export interface RestoringResult {
  /** The file. */
  readonly out: string;
  readonly steps: number;
  /** Mean loss of the held-out examples, before and after; NaN where none are held out. */
  readonly validation: { readonly before: number; readonly after: number };
}

/**
 * Trains soft tokens that restore: behind a cache that the policy has evicted, answers are to be those
 * of the full one. The model stays as it is; gradients reach the embeddings through the keys and values that
 * stay.
 *
 * @throws {TrainingError} If the data, the settings or the place of the file are unusable, or the
 * training diverges.
 * @throws {CheckpointError} If the model is unusable, or the tokens to start from are.
 */
export async function trainRestoring(request: RestoringRequest): Promise<RestoringResult> {
  const { settings, home, threads, signal, origin, out, watch = {} } = request;
  checkRestoring(settings);
  const inputs = [request.data, request.model, settings.initial];
  checkPaths(runPaths(out), { inputs, resume: false });
  const set = await readConversations(request.data);
  const path = await findRunModel(request);
  const checkpoint = await openCheckpoint(path, { home });
  const { config } = checkpoint;
  demandGlobalLayers(config, request.model);
  await using model = await loadModel(path, { home, threads });
  const { tokenizer, engine } = model;
  const facts = await model.facts();
  const { initial, tokens, seed, responseTokens: follows } = settings;
  const wanted = { ...DEFAULT_SETTINGS, ...settings };
  const { context } = config;
  const drawn = trainingPrompts(set, tokenizer, context, wanted, { behind: tokens + follows });
  for (const note of drawn.notes) watch.onNote?.(note);
  const begun = await initialEmbeddings({ initial, tokens, seed, checkpoint, tokenizer, facts });
  if (begun.note) watch.onNote?.(begun.note);
  const { embeddings } = begun;
  const described = await stepModel(checkpoint, { precision: "fp32", home });
  await using kernel = await createRestoreKernel(described, { tokens, follows, threads });
  const policy = await fittedTo(request.policy, facts);
  using prompts = openPrompts({
    ...{ engine, facts, policy, tokens, follows, signal },
    room: request.room ?? DEFAULT_ROOM,
  });
  const run = { kernel, config, embeddings, prompts };
  const [least, most] = settings.ratios;
  const ratio = (least + most) / 2;
  const before = await heldOut(run, drawn.validate, { ratio, again: true });
  const steps = await descend(request, run, drawn.train);
  const after = await heldOut(run, drawn.validate, { ratio, again: false });
  const { model: name } = request;
  await writeSoftTokens(
    out,
    { count: tokens, hidden: config.hidden, embeddings },
    facts,
    {
      model: portableName(name),
      dataHash: set.hash,
      settings: { ...settings, initial: portableName(initial), policy: policy.name },
      ...(Number.isFinite(before) ? { lossStart: before, lossEnd: after } : {}),
      created: origin.date,
      version: origin.version,
      command: origin.command,
    },
  );
  return { out, steps, validation: { before, after } };
}

/** What examples are run with. */
interface Run {
  readonly kernel: RestoreKernel;
  readonly config: Model["config"];
  /** `[tokens, hidden]`, changed in place. */
  readonly embeddings: Float32Array;
  readonly prompts: ReadPrompts;
}

/** Gradient descent. */
async function descend(
  { settings, signal, watch = {} }: RestoringRequest,
  run: Run,
  train: readonly TrainingPrompt[],
): Promise<number> {
  const { batch, seed, ratios: [least, most] } = settings;
  const steps = stepsOf(settings, train.length);
  const warmup = Math.round(settings.warmup * steps);
  const schedule = learningRate({ peak: settings.rate, warmup, steps });
  const adam = createAdam();
  const random = createPrng(seed, 0x2e5);
  for (let step = 0; step < steps; step++) {
    const gradients: Record<string, Float32Array> = {};
    let [loss, count] = [0, 0];
    for (const [place, index] of batchOf(step, batch, train.length, seed).entries()) {
      signal?.throwIfAborted();
      const prompt = train[index];
      const ratio = least + (most - least) * random();
      // Each round visits every prompt once.
      const again = step * batch + place + train.length < steps * batch;
      const found = prompt &&
        await run.prompts.visit(prompt, { ratio, again }, (example) => runOn(run, example, true));
      if (!found) continue;
      addInto(gradients, { [SOFT_TOKENS_TENSOR]: found.gradient }, 1 / batch);
      loss += found.loss;
      count++;
    }
    if (count > 0) {
      const norm = clipByNorm(gradients, settings.clip);
      if (!Number.isFinite(loss + norm)) {
        throw new TrainingError(
          `Cannot go on training: the loss was ${loss} at step ${
            step + 1
          }; start again with a lower 'rate'`,
          { options: ["rate"] },
        );
      }
      adam.step({ [SOFT_TOKENS_TENSOR]: run.embeddings }, gradients, schedule(step));
    }
    watch.onStep?.(step + 1, steps, count > 0 ? loss / count : NaN);
  }
  return steps;
}

function runOn(
  { kernel, config, embeddings }: Run,
  { position, ...example }: RestoringExample,
  gradients: boolean,
) {
  const tokens = embeddings.length / config.hidden + example.ids.length;
  const rotary = rotaryTables(config, { sequence: position + tokens, position, tokens });
  return kernel.run({ ...example, embeddings, rotary, gradients });
}

/** Mean loss of examples that are never trained on. */
async function heldOut(
  run: Run,
  prompts: readonly TrainingPrompt[],
  visit: Visit,
): Promise<number> {
  let [sum, count] = [0, 0];
  for (const prompt of prompts) {
    const found = await run.prompts.visit(prompt, visit, (example) => runOn(run, example, false));
    if (!found) continue;
    sum += found.loss;
    count++;
  }
  return sum / count;
}
