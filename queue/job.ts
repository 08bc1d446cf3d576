import * as v from "npm:valibot@1.5.0";
import { StorageError } from "../runtime/errors.ts";
import { checkJson, checkRecord, demand, type SchemaOf } from "../runtime/schema.ts";
import { contentName, digestOf } from "./digest.ts";
import { QueueError } from "./errors.ts";
import { type Store, STORED_FILE, type StoredFile } from "./store/store.ts";

/** What a job carries: its input, or where in the store that lies. */
export interface JobData {
  /** SHA-256 of the input's text. */
  readonly digest: string;
  /** The input as JSON. */
  readonly input?: string;
  /** Where the input lies otherwise. */
  readonly stored?: StoredFile;
}

const JOB_DATA: SchemaOf<JobData> = v.strictObject({
  digest: v.string(),
  input: v.exactOptional(v.string()),
  stored: v.exactOptional(STORED_FILE),
});

/** Shorter inputs travel in the job even where there is a store: one way less. */
const SHORT = 2048;

/** Longer inputs do not belong into a queue. */
const LONGEST = 4 * 2 ** 20;

/** Tries of a job before it is set aside, deaths of workers included. */
export const TRIES = 3;

/** The name of a job: that of its content, so that no job is there twice. */
export function jobName(run: string, digest: string): string {
  return contentName([run, digest]);
}

/**
 * Packs an input.
 *
 * @throws {QueueError} If it is too long for a queue without a store.
 */
export async function packInput(input: string, store: Store | undefined): Promise<JobData> {
  const digest = digestOf(input);
  if (input.length <= SHORT || (store === undefined && input.length <= LONGEST)) {
    return { digest, input };
  }
  if (store) return { digest, stored: await store.put(new TextEncoder().encode(input)) };
  throw new QueueError(
    `Cannot put ${(input.length / 2 ** 20).toFixed(1)} MiB into a job: a queue takes ${
      LONGEST / 2 ** 20
    } MiB; give a 'store'`,
    { options: ["store"] },
  );
}

/**
 * Unpacks what a job carries, and checks it.
 *
 * @param id Name of the job, as the queue has it.
 * @throws {QueueError} If it is not what its name says, or not of the form that it must have.
 * @throws {StorageError} If the store does not have it.
 */
export async function unpackInput<T>(
  { run, id, data }: { readonly run: string; readonly id: string; readonly data: unknown },
  schema: SchemaOf<T>,
  store: Store | undefined,
): Promise<T> {
  const fail = (problem: string) => new QueueError(`Cannot work on job ${id}: ${problem}`);
  const { digest, input, stored } = demand(checkRecord(JOB_DATA, data, "its data"), fail);
  if (stored && !store) {
    throw new StorageError(
      `Cannot work on job ${id}: its input lies in a store, and this worker has none; start it with ` +
        "the submitter's 'store'",
      { options: ["store"] },
    );
  }
  const text = stored && store ? new TextDecoder().decode(await store.read(stored)) : input ?? "";
  if (digestOf(text) !== digest || jobName(run, digest) !== id) {
    throw fail("other data lie there under its name; empty the run with kvjudge queue drain");
  }
  return demand(checkJson(schema, text, "its input"), fail);
}
