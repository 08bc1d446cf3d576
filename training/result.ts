import { writeSoftTokens } from "../runtime/soft_tokens/card.ts";
import { SOFT_TOKENS_TENSOR } from "../runtime/soft_tokens/read.ts";
import type { ModelFacts } from "../policies/policy.ts";
import { writeAtomically } from "../runtime/atomic_file.ts";
import { drawCurves } from "./figure.ts";
import { readLog } from "./log.ts";
import type { Progress } from "./optimise.ts";
import { portableName } from "./portable_name.ts";
import type { RunPaths } from "./run_files.ts";
import type { TrainingSettings } from "./settings.ts";
import { adaptersOf } from "./trainable.ts";
import type { Validation } from "./validation.ts";

/** What a finished run leaves. */
export interface TrainingResult {
  /** Where its files lie. */
  readonly paths: RunPaths;
  /** Steps that were done. */
  readonly steps: number;
  /** Loss of the first step. */
  readonly lossStart: number;
  /** Smoothed loss at the end. */
  readonly lossEnd: number;
  /** On the held-out examples, after the last step. */
  readonly validation?: Validation;
}

/** Facts that go into the card. */
export interface ResultRequest {
  readonly paths: RunPaths;
  readonly model: string;
  readonly facts: ModelFacts;
  readonly settings: TrainingSettings;
  readonly dataHash: string;
  readonly origin: { readonly command: string; readonly version: string; readonly date: string };
  readonly done: Progress;
}

/** Writes the soft tokens with their card, and the curves beside them. */
export async function writeResult(request: ResultRequest): Promise<TrainingResult> {
  const { paths, facts, settings, dataHash, origin, done } = request;
  const model = portableName(request.model);
  const entries = await readLog(paths.log);
  const validation = entries.findLast((entry) => entry.validation !== undefined)?.validation as
    | Validation
    | undefined;
  const adapters = adaptersOf(done.tensors);
  const figure = await drawCurves(entries, { title: `Soft tokens of ${model}` });
  await writeAtomically(paths.figure, new TextEncoder().encode(figure));
  // Comes last: where the result is, all the rest is as well.
  await writeSoftTokens(
    paths.out,
    {
      count: settings.tokens,
      hidden: facts.hidden,
      embeddings: done.tensors[SOFT_TOKENS_TENSOR] ?? new Float32Array(0),
      ...(settings.adapters
        ? { adapters: { rank: settings.adapters.rank, tensors: adapters } }
        : {}),
    },
    facts,
    {
      model,
      dataHash,
      settings: { ...settings, initial: portableName(settings.initial) },
      lossStart: done.lossStart,
      lossEnd: done.smoothed,
      ...(validation ? { hitRate: validation.hitRate } : {}),
      created: origin.date,
      version: origin.version,
      command: origin.command,
    },
  );
  return {
    paths,
    steps: done.step,
    lossStart: done.lossStart,
    lossEnd: done.smoothed,
    ...(validation ? { validation } : {}),
  };
}
