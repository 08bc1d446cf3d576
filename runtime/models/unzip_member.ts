// @ts-types="npm:@types/yauzl@3.4.0"
import { openPromise } from "npm:yauzl@3.4.0";
import { basename } from "node:path";
import { SourceError } from "./hub_error.ts";

/**
 * Reads one file of a zip archive, piece by piece.
 *
 * @throws {SourceError} If the archive is damaged or has no such file.
 */
export async function* unzipMember(archive: string, member: string): AsyncGenerator<Uint8Array> {
  const zip = await openPromise(archive).catch((error: Error) => {
    throw damaged(archive, error);
  });
  try {
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName !== member) continue;
      yield* await zip.openReadStreamPromise(entry);
      return;
    }
  } catch (error) {
    throw damaged(archive, error);
  } finally {
    zip.close();
  }
  throw new SourceError(member, `${basename(archive)} does not hold it`, "report this as a bug");
}

function damaged(archive: string, error: unknown): SourceError {
  const reason = error instanceof Error ? error.message : String(error);
  const options = { cause: error };
  return new SourceError(basename(archive), `it is damaged (${reason})`, "try again", options);
}
