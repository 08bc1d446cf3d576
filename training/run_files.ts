import { existsSync, mkdirSync } from "node:fs";
import { createHash } from "node:crypto";
import { basename, dirname, extname, join } from "node:path";
import { TrainingError } from "./errors.ts";
import { writeError } from "./atomic_file.ts";
import type { Progress } from "./optimise.ts";
import { loadState, removeState, saveState } from "./state.ts";
import type { Tensors } from "./trainable.ts";

/** Where the files of a run lie: the result's name gives all the others. */
export interface RunPaths {
  /** The result. */
  readonly out: string;
  readonly log: string;
  readonly figure: string;
  /** State to go on from. */
  readonly state: string;
  /** Targets, unless another folder is given. */
  readonly targets: string;
}

/**
 * Names the files of a run and makes their folders.
 *
 * @throws {TrainingError} If the folder cannot be made, or a run must not begin because of what lies
 * there.
 */
export function runPaths(out: string, cache?: string): RunPaths {
  const stem = join(dirname(out), basename(out, extname(out)));
  const work = `${stem}.work`;
  const targets = cache ?? join(work, "targets");
  try {
    mkdirSync(work, { recursive: true });
    mkdirSync(targets, { recursive: true });
  } catch (error) {
    throw writeError(work, error);
  }
  return {
    out,
    log: `${stem}.jsonl`,
    figure: `${stem}.svg`,
    state: join(work, "state.safetensors"),
    targets,
  };
}

/** Keeps two processes from writing the same files. The system frees it however a process ends. */
export async function lockRun({ state }: RunPaths): Promise<Disposable> {
  const file = await Deno.open(`${state}.lock`, { create: true, write: true });
  if (await file.tryLock(true)) return { [Symbol.dispose]: () => file.close() };
  file.close();
  throw new TrainingError(
    `Cannot train into ${dirname(state)}: another run is at work there; wait for it or choose ` +
      "another --out",
  );
}

/** Hash of all that a run's course depends on. */
export function hashOf(facts: object): string {
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex");
}

/**
 * The progress that a run goes on from, if there is any.
 *
 * @throws {TrainingError} If there is some and the user did not ask to go on, or it was made with
 * other settings; if there is a result already.
 */
export async function findProgress(
  { out, state }: RunPaths,
  settings: string,
  resume: boolean,
): Promise<Progress | undefined> {
  if (!resume) {
    const [what, way] = existsSync(out)
      ? ["there is a file of that name", "remove it or choose another --out"]
      : existsSync(state)
      ? [
        "an interrupted run lies there",
        `go on with --resume, or remove ${dirname(state)} to start anew`,
      ]
      : [];
    if (what) throw new TrainingError(`Cannot train into ${out}: ${what}; ${way}`);
    await removeState(state);
    return undefined;
  }
  const found = await loadState(state, settings);
  if (!found) return undefined;
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
    smoothed: Number(found.numbers.smoothed),
    lowest: Number(found.numbers.lowest),
    lossStart: Number(found.numbers.lossStart),
  };
}

/** Saves where a run stands; a kill at any moment leaves this state or the one before it. */
export async function saveProgress(
  { state }: RunPaths,
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
