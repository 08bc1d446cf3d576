import { basename } from "node:path";
import type { DescribedModel } from "../runtime/describe_model.ts";
import { isCommonName } from "./find_model.ts";
import type { QueuedModel } from "./run.ts";
import type { Store } from "./store/store.ts";

/** Files of a folder that a checkpoint is made of. */
const OF_CHECKPOINT = /\.(safetensors|json|jinja|model|txt)$/;

/**
 * A model as a run names it. One that has no name that every machine knows goes into the store, where
 * there is one.
 */
export async function queuedModel(
  model: Pick<DescribedModel, "name" | "path" | "precision" | "fingerprint">,
  { device, allowControlTokens, store }: Pick<QueuedModel, "device" | "allowControlTokens"> & {
    readonly store?: Store | undefined;
  },
): Promise<QueuedModel> {
  const { name, path, precision } = model;
  const fingerprint = await model.fingerprint();
  const described = { name, fingerprint, precision, device, allowControlTokens };
  if (!store || isCommonName(name)) return described;
  const files: { name: string; sha256: string; bytes: number }[] = [];
  for (const file of await filesOf(path)) {
    files.push({ ...await store.putFile(file), name: basename(file) });
  }
  return { ...described, files };
}

async function filesOf(path: string): Promise<readonly string[]> {
  if ((await Deno.stat(path)).isFile) return [path];
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    if (!isDirectory && OF_CHECKPOINT.test(name)) names.push(name);
  }
  return names.sort().map((name) => `${path}/${name}`);
}
