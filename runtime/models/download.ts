import { FetchError } from "../errors.ts";
import { startDeadline } from "./deadline.ts";
import type { FetchContext } from "./fetch_context.ts";
import { hubHeaders } from "./hub_endpoint.ts";
import { SourceError, statusError, unreachable } from "./hub_error.ts";
import { type Checksum, openVerifiedFile, type VerifiedFile } from "./verified_file.ts";

/** A file on the hub. */
export interface RemoteFile {
  /** How messages and progress call it. */
  readonly name: string;
  /** Where it is. */
  readonly url: string;
  /** Size. */
  readonly bytes: number;
  /** What its bytes must add up to. */
  readonly checksum: Checksum;
}

/** Tries without a single new byte before a download is given up. */
const FRUITLESS_TRIES = 4;

/**
 * Downloads a file to `path`. A cut download goes on where it stopped, in this call and in later
 * ones; the checksum is computed while the bytes come in. The caller holds the lock.
 *
 * @throws {SourceError} If the hub does not answer or refuses, or the checksum is wrong.
 * @throws {FetchError} If the disk refuses.
 */
export async function download(
  remote: RemoteFile,
  path: string,
  context: FetchContext,
): Promise<void> {
  await using file = await openVerifiedFile(path, remote.bytes, remote.checksum);
  const resumed = file.received > 0;
  report(remote, file, context);
  await receive(remote, file, context);
  let { found } = await file.finish();
  if (found !== undefined && resumed) {
    // What an earlier run left may be damaged: once more from the start.
    await file.restart();
    await receive(remote, file, context);
    ({ found } = await file.finish());
  }
  if (found === undefined) return;
  await file.restart();
  throw new SourceError(
    remote.name,
    `its checksum must be ${remote.checksum.value}, got ${found}`,
    "nothing was kept: try again, or set HF_ENDPOINT to another mirror",
  );
}

async function receive(remote: RemoteFile, file: VerifiedFile, context: FetchContext) {
  let fruitless = 0;
  while (file.received < remote.bytes) {
    const before = file.received;
    try {
      await receiveOnce(remote, file, context);
    } catch (error) {
      if (error instanceof FetchError || context.signal.aborted) throw error;
      fruitless = file.received > before ? 0 : fruitless + 1;
      const untouched = file.received === 0;
      if (untouched || fruitless >= FRUITLESS_TRIES) {
        throw unreachable(remote.name, remote.url, error);
      }
      await context.sleep(1000 * 2 ** fruitless, context.signal);
    }
  }
}

function report({ name, bytes }: RemoteFile, { received }: VerifiedFile, context: FetchContext) {
  context.onProgress({ file: name, received, total: bytes, phase: "hub" });
}

/** One request; returns or throws when its body ends. */
async function receiveOnce(remote: RemoteFile, file: VerifiedFile, context: FetchContext) {
  const { name, url, bytes } = remote;
  const headers = new Headers(hubHeaders(context.environment));
  if (file.received > 0) headers.set("Range", `bytes=${file.received}-`);
  using deadline = startDeadline(context.signal, context.patience);
  const response = await context.fetch(url, { headers, signal: deadline.signal });
  if (!response.ok) {
    await response.body?.cancel();
    if (response.status === 416) return await file.restart();
    if (response.status >= 500 && file.received > 0) throw new Error(`status ${response.status}`);
    throw statusError(name, url, response.status, headers.has("Authorization"));
  }
  const start = firstByte(response);
  if (start !== file.received) await file.restart();
  const total = totalBytes(response, start);
  if (total !== undefined && total !== bytes) {
    await response.body?.cancel();
    throw new SourceError(
      name,
      `it must have ${bytes} bytes, the hub has ${total}`,
      "nothing was kept: try again, or set HF_ENDPOINT to another mirror",
    );
  }
  deadline.extend(context.stall);
  for await (const chunk of response.body ?? []) {
    deadline.extend(context.stall);
    await file.write(chunk);
    report(remote, file, context);
    if (file.received > bytes) break;
  }
  if (file.received < bytes) throw new Error("the connection was cut");
}

/** The position at which a body starts: servers may ignore a Range and send everything. */
function firstByte(response: Response): number {
  if (response.status !== 206) return 0;
  return Number(/^bytes (\d+)-/.exec(response.headers.get("Content-Range") ?? "")?.[1] ?? 0);
}

function totalBytes(response: Response, start: number): number | undefined {
  const total = /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "")?.[1];
  if (total !== undefined) return Number(total);
  const length = response.headers.get("Content-Length");
  // Compressed bodies have another length than what they unfold to.
  if (length === null || response.headers.has("Content-Encoding")) return undefined;
  return start + Number(length);
}
