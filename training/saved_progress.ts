import { existsSync } from "node:fs";
import * as v from "npm:valibot@1.5.0";
import { checkRecord, demand } from "../runtime/schema.ts";
import { TrainingError } from "./errors.ts";
import type { Progress } from "./optimise.ts";
import type { RunPaths } from "./run_files.ts";
import { loadState, saveState, statesOf } from "./state.ts";
import type { Tensors } from "./trainable.ts";

/** Infinite before the first step, and without a number for a run that has none yet. */
const NUMBER = v.union([v.number(), v.nan()]);

const NUMBERS = v.object({ smoothed: NUMBER, lowest: NUMBER, lossStart: NUMBER });

/**
 * The progress that a run goes on from.
 *
 * @param settings Hash of all that the run's course depends on.
 * @throws {TrainingError} If there is none, it is damaged, or it was made with other settings.
 */
export async function loadProgress(
  { out, state }: Pick<RunPaths, "out" | "state">,
  settings: string,
): Promise<Progress> {
  const found = await loadState(state, settings);
  if (!found) {
    throw new TrainingError(
      statesOf(state).some((path) => existsSync(path))
        ? `Cannot resume ${out}: its state ${state} is damaged; remove it and start without 'resume'`
        : `Cannot resume ${out}: there is no interrupted run of it; start it without 'resume'`,
      { options: ["resume"] },
    );
  }
  const part = (prefix: string): Tensors =>
    Object.fromEntries(
      Object.entries(found.tensors)
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, data]) => [name.slice(prefix.length), data]),
    );
  return {
    step: found.step,
    tensors: part("value."),
    first: part("first."),
    second: part("second."),
    ...demand(
      checkRecord(NUMBERS, found.numbers),
      (problem) =>
        new TrainingError(`Cannot resume ${out}: in its state ${state}, ${problem}; remove it`),
    ),
  };
}

/** Saves where a run stands; a kill at any moment leaves this state or the one before it. */
export async function saveProgress(
  { state }: Pick<RunPaths, "state">,
  settings: string,
  progress: Progress,
): Promise<void> {
  const { step, tensors, first, second, ...numbers } = progress;
  const prefixed = (prefix: string, part: Tensors) =>
    Object.entries(part).map(([name, data]) => [`${prefix}${name}`, data] as const);
  await saveState(state, {
    step,
    settings,
    tensors: Object.fromEntries([
      ...prefixed("value.", tensors),
      ...prefixed("first.", first),
      ...prefixed("second.", second),
    ]),
    numbers,
  });
}

/** A run before its first step. */
export function freshProgress(tensors: Tensors): Progress {
  return {
    step: 0,
    tensors,
    first: {},
    second: {},
    smoothed: 0,
    lowest: Infinity,
    lossStart: NaN,
  };
}
