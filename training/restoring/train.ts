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
import { type ExampleRequest, type RestoringExample, restoringExample } from "./example.ts";
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
  const { responses, responseTokens, maxPromptTokens, samples, validate, seed } = settings;
  const drawn = { responses, responseTokens, maxPromptTokens, samples, validate, seed };
  const prompts = trainingPrompts(set, tokenizer, config.context, {
    ...DEFAULT_SETTINGS,
    ...drawn,
  });
  for (const note of prompts.notes) watch.onNote?.(note);
  const { initial, tokens } = settings;
  const begun = await initialEmbeddings({ initial, tokens, seed, checkpoint, tokenizer, facts });
  if (begun.note) watch.onNote?.(begun.note);
  const described = await stepModel(checkpoint, { precision: "fp32", home });
  const follows = responseTokens;
  await using kernel = await createRestoreKernel(described, { tokens, follows, threads });
  const policy = await fittedTo(request.policy, facts);
  const examples = { engine, facts, policy, tokens, follows, signal };
  const parameters = { [SOFT_TOKENS_TENSOR]: begun.embeddings };
  const measured = async () =>
    await heldOut(kernel, config, begun.embeddings, prompts.validate, {
      ...examples,
      ratio: mean(settings),
    });
  const before = await measured();
  const steps = await descend(request, {
    kernel,
    config,
    parameters,
    train: prompts.train,
    examples,
  });
  const after = await measured();
  const { model: name } = request;
  await writeSoftTokens(
    out,
    { count: tokens, hidden: config.hidden, embeddings: begun.embeddings },
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

type Examples = Omit<ExampleRequest, "ratio">;
type Config = Model["config"];

/** Gradient descent; the embeddings are changed in place. */
async function descend(
  { settings, signal, watch = {} }: RestoringRequest,
  { kernel, config, parameters, train, examples }: {
    readonly kernel: RestoreKernel;
    readonly config: Config;
    readonly parameters: { readonly [SOFT_TOKENS_TENSOR]: Float32Array };
    readonly train: readonly TrainingPrompt[];
    readonly examples: Examples;
  },
): Promise<number> {
  const { batch, epochs, seed, ratios: [least, most] } = settings;
  const steps = Math.max(1, Math.floor(train.length * epochs / batch));
  const warmup = Math.round(settings.warmup * steps);
  const schedule = learningRate({ peak: settings.rate, warmup, steps });
  const adam = createAdam();
  const random = createPrng(seed, 0x2e5);
  for (let step = 0; step < steps; step++) {
    const gradients: Record<string, Float32Array> = {};
    let [loss, count] = [0, 0];
    for (const index of batchOf(step, batch, train.length, seed)) {
      signal?.throwIfAborted();
      const prompt = train[index];
      const ratio = least + (most - least) * random();
      const example = prompt && await restoringExample(prompt, { ...examples, ratio });
      if (!example) continue;
      const found = await visit(kernel, config, example, parameters[SOFT_TOKENS_TENSOR], true);
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
      adam.step(parameters, gradients, schedule(step));
    }
    watch.onStep?.(step + 1, steps, count > 0 ? loss / count : NaN);
  }
  return steps;
}

function visit(
  kernel: RestoreKernel,
  config: Config,
  { position, ...example }: RestoringExample,
  embeddings: Float32Array,
  gradients: boolean,
) {
  const tokens = embeddings.length / config.hidden +
    example.ids.length;
  const rotary = rotaryTables(config, { sequence: position + tokens, position, tokens });
  return kernel.run({ ...example, embeddings, rotary, gradients });
}

/** Mean loss of examples that are never trained on. */
async function heldOut(
  kernel: RestoreKernel,
  config: Config,
  embeddings: Float32Array,
  prompts: readonly TrainingPrompt[],
  examples: ExampleRequest,
): Promise<number> {
  let [sum, count] = [0, 0];
  for (const prompt of prompts) {
    const example = await restoringExample(prompt, examples);
    if (!example) continue;
    sum += (await visit(kernel, config, example, embeddings, false)).loss;
    count++;
  }
  return sum / count;
}

function mean({ ratios: [least, most] }: RestoringSettings): number {
  return (least + most) / 2;
}
