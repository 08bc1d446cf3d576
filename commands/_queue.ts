import type { QueueAddress } from "../queue/address.ts";
import type { Store } from "../queue/store/store.ts";
import { PromptError } from "../runtime/errors.ts";
import { readInput } from "./_read_input.ts";

/** What the user said about a queue. */
export interface QueueFlags {
  readonly queue?: string | undefined;
  readonly queuePasswordFile?: string | undefined;
  readonly queueCa?: string | undefined;
}

/** What a submitter says of it besides. */
export interface SubmitFlags extends QueueFlags {
  readonly queueWait: number;
  readonly store?: string | undefined;
}

/** Where a password may stand that must not be seen in the list of processes. */
const PASSWORD_VARIABLE = "KVJUDGE_QUEUE_PASSWORD";

/** Words of the flags that all commands with a queue share. */
export const QUEUE_WORDS = {
  queue: "Queue that workers share: redis://HOST:PORT, or rediss:// for an encrypted connection.",
  passwordFile: `File with the queue's password; or set ${PASSWORD_VARIABLE}.`,
  authority: "File of the authority that signs the queue's certificate, as PEM.",
  wait: "Seconds to wait for a queue whose server is gone.",
  store: "Files that machines share: file:///FOLDER or s3://BUCKET/PREFIX.",
} as const;

/**
 * Reads where the queue is, and its secrets.
 *
 * @throws {QueueError} If the address is no queue's, or holds a password.
 * @throws {PromptError} If a file cannot be read, or holds no password.
 */
export async function readQueue(
  queue: string,
  { queuePasswordFile, queueCa }: QueueFlags,
): Promise<QueueAddress> {
  const { queueAddress } = await import("../queue/address.ts");
  const password = await readPassword(queuePasswordFile);
  const authority = queueCa === undefined
    ? undefined
    : await readInput(queueCa, "the authority's certificate");
  return queueAddress(queue, {
    ...(password === undefined ? {} : { password }),
    ...(authority === undefined ? {} : { authority }),
  });
}

async function readPassword(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return Deno.env.get(PASSWORD_VARIABLE) || undefined;
  const [password = ""] = (await readInput(file, "the queue's password")).split("\n");
  if (password.trim() !== "") return password.trim();
  throw new PromptError(`Cannot use ${file}: it has no password; write it in the first line`);
}

/** Opens the store that the user named, if any. */
export async function openNamedStore(
  address: string | undefined,
): Promise<(Store & Disposable) | undefined> {
  if (address === undefined) return undefined;
  const { openStore } = await import("../queue/store/open_store.ts");
  return await openStore(address);
}

/** Milliseconds of a flag in seconds. */
export function millisecondsOf(seconds: number, flag: string): number {
  if (seconds > 0 && seconds <= 86_400) return seconds * 1000;
  throw new PromptError(
    `Cannot use ${seconds} for ${flag}: give seconds above 0 and at most 86400`,
  );
}
