import type { ModelFacts, ModelFile } from "../../policies/policy.ts";
import { loadModel, type Model } from "../../runtime/model.ts";
import { writeModelFile } from "../../runtime/model_files/file.ts";
import type { FetchProgress } from "../../runtime/models/fetch_context.ts";
import { readConversations } from "../data/conversations.ts";
import { portableName } from "../portable_name.ts";
import { type TrainingPrompt, trainingPrompts } from "../prompts.ts";
import { checkPaths, runPaths } from "../run_files.ts";
import { checkSettings, DEFAULT_SETTINGS } from "../settings.ts";
import { demandGlobalLayers, findRunModel } from "../run_model.ts";

/** Which prompts a model is measured with. */
export interface CalibrationSettings {
  /** Prompts. */
  readonly samples: number;
  /** Longer prompts are left out. */
  readonly maxPromptTokens: number;
  /** Most tokens of an answer: that of the data, or the model's own where there is none. */
  readonly responseTokens: number;
  /** Seed of every random choice. */
  readonly seed: number;
}

/** What a file for a model is made of, and where. */
export interface CalibrationRequest {
  /** Model, as `loadModel` takes it. */
  readonly model: string;
  /** File of conversations. */
  readonly data: string;
  /** File that is made. */
  readonly out: string;
  readonly settings: CalibrationSettings;
  readonly threads: number;
  /** Folder for models and converted weights. */
  readonly home: string;
  /** For the card: what was run, by which version, on which day. */
  readonly origin: { readonly command: string; readonly version: string; readonly date: string };
  readonly signal?: AbortSignal;
  readonly watch?: CalibrationWatch;
}

/** Called as it gets on. */
export interface CalibrationWatch {
  readonly onFetch?: (progress: FetchProgress) => void;
  readonly onNote?: (text: string) => void;
  /** Prompts that were measured, of how many. */
  readonly onPrompt?: (done: number, total: number) => void;
}

/** What a policy measures of a model, prompt by prompt. */
export interface Measurement {
  /** Adds a prompt. */
  add(prompt: TrainingPrompt, signal: AbortSignal | undefined): Promise<void>;
  /** What was found: numbers, and facts for the card. */
  finish(): Pick<ModelFile, "tensors" | "card">;
}

/** How a policy measures. */
export interface Calibration {
  /** Name of the policy. */
  readonly kind: string;
  /** Begins; may refuse the model. */
  begin(model: Model, facts: ModelFacts): Measurement | Promise<Measurement>;
}

/** What came of it. */
export interface CalibrationResult {
  /** The file. */
  readonly out: string;
  /** Prompts that were measured. */
  readonly prompts: number;
  /** What stands in the file's metadata. */
  readonly card: Readonly<Record<string, string>>;
}

/**
 * Measures a model once for a policy, prompt by prompt, and writes the file that the policy then reads.
 *
 * @throws {TrainingError} If the data, the settings or the place of the file are unusable.
 * @throws {CheckpointError} If the model is unusable.
 */
export async function calibrate(
  request: CalibrationRequest,
  { kind, begin }: Calibration,
): Promise<CalibrationResult> {
  const { data, out, settings, home, threads, origin, signal, watch = {} } = request;
  const whole = { ...DEFAULT_SETTINGS, ...settings, responses: "original", validate: 0 } as const;
  checkSettings(whole);
  checkPaths(runPaths(out), { inputs: [data, request.model], resume: false });
  const set = await readConversations(data);
  const path = await findRunModel(request);
  await using model = await loadModel(path, { home, threads });
  const { tokenizer, engine: { config } } = model;
  demandGlobalLayers(config, request.model, { what: "measure", instead: "measure" });
  const { train: prompts, notes } = trainingPrompts(set, tokenizer, config.context, whole);
  for (const note of notes) watch.onNote?.(note);
  const facts = await model.facts();
  const measurement = await begin(model, facts);
  for (const [index, prompt] of prompts.entries()) {
    signal?.throwIfAborted();
    await measurement.add(prompt, signal);
    watch.onPrompt?.(index + 1, prompts.length);
  }
  const { tensors, card: found } = measurement.finish();
  const card = {
    model: portableName(request.model),
    data_hash: set.hash,
    prompts: `${prompts.length}`,
    ...found,
    created: origin.date,
    version: origin.version,
    command: origin.command,
  };
  const { fingerprint, identity } = facts;
  await writeModelFile(out, { kind, tensors, fingerprint, identity, card });
  return { out, prompts: prompts.length, card };
}
