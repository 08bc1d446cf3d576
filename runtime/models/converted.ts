import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { knownFingerprint } from "../checkpoint/known_fingerprint.ts";

/** Weights that were converted from a checkpoint, in every precision, whole or not. */
export async function convertedFiles(home: string, fingerprint: string): Promise<string[]> {
  const folder = join(home, "weights");
  return (await names(folder)).filter((name) => name.startsWith(`${fingerprint}-`)).map((name) =>
    join(folder, name)
  );
}

/**
 * Bytes of the weights that were converted from a model. No file is hashed for it: what was converted
 * was hashed before.
 *
 * @param path Folder or file of the model.
 */
export async function convertedBytes(home: string, path: string): Promise<number> {
  if ((await names(join(home, "weights"))).length === 0) return 0;
  const fingerprint = await knownFingerprint(path, home, { hash: false });
  if (fingerprint === undefined) return 0;
  const files = await convertedFiles(home, fingerprint);
  const sizes = await Promise.all(
    // A process that converts may rename a file meanwhile.
    files.map((file) => stat(file).then(({ size }) => size, () => 0)),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function names(folder: string): Promise<string[]> {
  return await readdir(folder).catch(() => []);
}
