import { CheckpointError } from "../errors.ts";
import { openCheckpoint } from "./open.ts";

/**
 * The fingerprint of a checkpoint, or nothing where the checkpoint cannot be read any more.
 *
 * @param home Folder of remembered fingerprints.
 * @param options With `hash` false nothing as well where none is remembered.
 */
export async function knownFingerprint(
  path: string,
  home: string,
  { hash = true }: { readonly hash?: boolean } = {},
): Promise<string | undefined> {
  try {
    return await (await openCheckpoint(path, { home, hash })).fingerprint();
  } catch (error) {
    if (error instanceof CheckpointError) return undefined;
    throw error;
  }
}
