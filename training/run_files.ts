import { createHash } from "node:crypto";
import { basename, dirname, extname, join, resolve } from "node:path";
import { TrainingError } from "./errors.ts";
import { writeError } from "../runtime/atomic_file.ts";
import { readHead } from "./log.ts";
import { statesOf } from "./state.ts";

/** Where the files of a run lie: the result's name gives all the others. */
export interface RunPaths {
  /** The result. */
  readonly out: string;
  /** One JSON line for each step. */
  readonly log: string;
  /** The curves, as SVG. */
  readonly figure: string;
  /** State to go on from. */
  readonly state: string;
  /** Targets, unless another folder is given. */
  readonly targets: string;
}

/** Names the files of a run. */
export function runPaths(out: string, cache?: string): RunPaths {
  const stem = join(dirname(out), basename(out, extname(out)));
  const work = `${stem}.work`;
  return {
    out,
    log: `${stem}.jsonl`,
    figure: `${stem}.svg`,
    state: join(work, "state.safetensors"),
    targets: cache ?? join(work, "targets"),
  };
}

/**
 * Looks, before any work is done, whether a run may write its files; makes none.
 *
 * @param inputs Files that the run reads.
 * @throws {TrainingError} If the folder is missing, or something lies there that the run would
 * overwrite.
 */
export function checkPaths(
  paths: RunPaths,
  { inputs, resume }: { readonly inputs: readonly string[]; readonly resume: boolean },
): void {
  const { out, log, figure, state } = paths;
  const refuse = (problem: string): never => {
    throw new TrainingError(`Cannot train into ${out || '""'}: ${problem}`, {
      options: ["out", "resume"],
    });
  };
  if (basename(out).trim() === "") refuse("the name is empty; give the name of a file");
  if (!find(dirname(out))?.isDirectory) refuse(`there is no folder ${dirname(out)}; make it first`);
  if (find(out)?.isDirectory) refuse("it is a folder; give the name of a file");
  const written = [out, log, figure];
  if (new Set(written).size < written.length) {
    refuse("its log and curves would have its name; let the name end in .safetensors");
  }
  const clash = written.find((path) => inputs.some((input) => resolve(input) === resolve(path)));
  if (clash !== undefined) {
    refuse(`the run would overwrite ${clash}, which it reads; choose another 'out'`);
  }
  if (resume) return;
  if (find(out)) refuse("there is a file of that name; remove it or choose another 'out'");
  if (statesOf(state).some(find)) {
    refuse(
      `the state of an earlier run lies there; go on with 'resume', or remove the state in ` +
        `${dirname(state)} to start again`,
    );
  }
  const logFound = find(log);
  const foreign = logFound ? logFound.size > 0 && !readHead(log) && log : find(figure) && figure;
  if (foreign) {
    refuse(
      `the run would overwrite ${foreign}, which no training made; move it or choose another 'out'`,
    );
  }
}

function find(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw writeError(path, error);
  }
}

/**
 * Makes the folder of a run and keeps other processes out of it; the system frees it however a
 * process ends. A run that ends before it saved anything leaves no folder.
 *
 * @throws {StorageError} If the folder cannot be made.
 * @throws {TrainingError} If another run is at work there.
 */
export async function claimRun({ state }: RunPaths): Promise<Disposable> {
  const work = dirname(state);
  const lock = `${state}.lock`;
  let file: Deno.FsFile;
  try {
    Deno.mkdirSync(work, { recursive: true });
    file = await Deno.open(lock, { create: true, write: true });
  } catch (error) {
    throw writeError(work, error);
  }
  if (!(await file.tryLock(true))) {
    file.close();
    throw new TrainingError(
      `Cannot train into ${work}: another run is at work there; wait for it or choose another 'out'`,
      { options: ["out"] },
    );
  }
  return {
    [Symbol.dispose]() {
      const isIdle = ({ name, isDirectory }: Deno.DirEntry) =>
        name === basename(lock) || isDirectory && isEmpty(join(work, name));
      // Somebody may have removed the folder meanwhile.
      if (find(work) && [...Deno.readDirSync(work)].every(isIdle)) {
        Deno.removeSync(work, { recursive: true });
      }
      file.close();
    },
  };
}

function isEmpty(folder: string): boolean {
  return [...Deno.readDirSync(folder)].length === 0;
}

/** Hash of all that a run's course depends on. */
export function hashOf(facts: object): string {
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex");
}
