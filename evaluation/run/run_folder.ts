import { writeAtomically, writeError } from "../../runtime/atomic_file.ts";
import { BenchmarkError } from "../benchmarks/errors.ts";
import { checkJson, demand } from "../../runtime/schema.ts";
import { differences } from "./differences.ts";
import {
  RUN_FORMAT,
  RUN_SETTINGS,
  type RunSettings,
  SAMPLE_RECORD,
  type SampleRecord,
} from "./record.ts";
import type { RunSummary } from "./summary_record.ts";

/** The folder of a run: everything that is measured is in it at once. */
export interface RunFolder extends Disposable {
  /** Records of earlier starts, by id. */
  readonly records: ReadonlyMap<string, SampleRecord>;
  /** Writes a record down; when this returns it is on the disk. */
  append(record: SampleRecord): Promise<void>;
  /** Writes `summary.json`. */
  finish(summary: RunSummary): Promise<void>;
}

/** Names of the files of a run. */
export const RUN_FILES = {
  settings: "settings.json",
  samples: "samples.jsonl",
  summary: "summary.json",
} as const;

/**
 * Opens the folder of a run, a new one or one that was begun with the same settings.
 *
 * @throws {BenchmarkError} If it was begun with other settings, is damaged, or another process works
 * on it.
 * @throws {StorageError} If it cannot be written.
 */
export async function openRunFolder(path: string, settings: RunSettings): Promise<RunFolder> {
  const file = (name: string) => `${path.replace(/\/+$/, "")}/${name}`;
  const encoder = new TextEncoder();
  const write = (name: string, value: unknown) =>
    writeAtomically(file(name), encoder.encode(`${JSON.stringify(value, null, 2)}\n`));
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (error) {
    throw writeError(path, error);
  }
  const known = await readText(file(RUN_FILES.settings));
  if (known === undefined) await write(RUN_FILES.settings, settings);
  else {
    const place = file(RUN_FILES.settings);
    checkSame(
      path,
      demand(checkJson(RUN_SETTINGS, known), (problem) => damaged(place, problem)),
      settings,
    );
  }
  const samples = await openSamples(file(RUN_FILES.samples));
  try {
    const records = new Map<string, SampleRecord>();
    for (const record of await takeUp(samples, file(RUN_FILES.samples))) {
      records.set(record.id, record);
    }
    let last = Promise.resolve();
    return {
      records,
      append(record) {
        // One at a time, so that lines stay whole.
        last = last.then(() =>
          writeAll(samples, encoder.encode(`${JSON.stringify(record)}\n`), path)
        );
        return last;
      },
      finish: (summary) => write(RUN_FILES.summary, summary),
      [Symbol.dispose]: () => samples.close(),
    };
  } catch (error) {
    samples.close();
    throw error;
  }
}

/** Opens the samples for this process alone; the system frees the lock however the process ends. */
async function openSamples(path: string): Promise<Deno.FsFile> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path, { read: true, write: true, create: true });
  } catch (error) {
    throw writeError(path, error);
  }
  if (await file.tryLock(true)) return file;
  file.close();
  throw new BenchmarkError(
    `Cannot write ${path}: another process is working on this run; wait for it or give another folder`,
  );
}

/** Reads all whole lines, cuts off a torn one and stands at the end. */
async function takeUp(file: Deno.FsFile, path: string): Promise<readonly SampleRecord[]> {
  const bytes = await Deno.readFile(path);
  const whole = bytes.lastIndexOf(0x0a) + 1;
  if (whole < bytes.length) await file.truncate(whole);
  await file.seek(whole, Deno.SeekMode.Start);
  const lines = new TextDecoder().decode(bytes.subarray(0, whole)).split("\n").slice(0, -1);
  return lines.map((line, at) =>
    demand(
      checkJson(SAMPLE_RECORD, line),
      (problem) => damaged(`${path}, line ${at + 1}, as a record of a sample`, problem),
    )
  );
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array, path: string): Promise<void> {
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await file.write(rest));
    await file.syncData();
  } catch (error) {
    throw writeError(path, error);
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw damaged(path, error instanceof Error ? error.message : String(error));
  }
}

function damaged(place: string, reason: string): BenchmarkError {
  return new BenchmarkError(
    `Cannot go on with the run of ${place}: ${reason}; give another folder, or mend or remove the file`,
  );
}

/** Settings that differ are named, but no more than a reader takes in. */
const SHOWN_DIFFERENCES = 3;

function checkSame(path: string, known: RunSettings, settings: RunSettings): void {
  const found = differences(known, settings);
  if (found.length === 0) return;
  const shown = found.slice(0, SHOWN_DIFFERENCES)
    .map(({ path, first, second }) => `${path} ${first}, this is ${second}`);
  const more = found.length - shown.length;
  throw new BenchmarkError(
    `Cannot go on with the run in ${path}: it was begun with ` +
      `${shown.join("; ")}${more > 0 ? `; ${more} more differ` : ""}; ` +
      `give the same settings, or another folder (the files of a run have format ${RUN_FORMAT})`,
  );
}
