import { join } from "node:path";
import { CATALOG } from "../runtime/models/catalog.ts";
import { type DescribedModel, describeModel } from "../runtime/describe_model.ts";
import { parseModelReference } from "../runtime/models/model_reference.ts";
import { QueueError } from "./errors.ts";
import type { QueuedModel } from "./run.ts";
import type { WorkerOptions } from "./worker_options.ts";

/** What finding a model needs of a worker. */
export type ModelPlaces = Pick<WorkerOptions, "home" | "models" | "store" | "signal">;

/**
 * Finds the model of a run: among those of this machine, by its name where every machine knows it, or in
 * the store. A path of the submitter's is never opened.
 *
 * @throws {QueueError} If there is none with that hash.
 * @throws {FetchError} If it cannot be fetched.
 */
export async function findModel(
  model: QueuedModel,
  { home, models, store, signal }: ModelPlaces,
): Promise<DescribedModel> {
  const { name, fingerprint, precision, allowControlTokens, files } = model;
  const options = { home, precision, allowControlTokens, signal };
  const matching = async (source: string) => {
    const described = await describeModel(source, options);
    return { described, hash: await described.fingerprint() };
  };
  for (const source of models) {
    const { described, hash } = await matching(source);
    if (hash === fingerprint) return described;
  }
  if (isCommonName(name)) {
    const { described, hash } = await matching(name);
    if (hash === fingerprint) return described;
    throw new QueueError(
      `Cannot take the run: its model ${name} has hash ${short(fingerprint)}, here it has ${
        short(hash)
      }; fetch the same file on all machines`,
    );
  }
  if (files && store) {
    const folder = join(home, "queue", fingerprint);
    await Deno.mkdir(folder, { recursive: true });
    for (const file of files) {
      const path = join(folder, file.name);
      const there = await Deno.stat(path).then(({ size }) => size === file.bytes, () => false);
      if (!there) await store.fetch(file, path);
    }
    const [first] = files;
    const source = files.length === 1 && first?.name.endsWith(".gguf")
      ? join(folder, first.name)
      : folder;
    const { described, hash } = await matching(source);
    if (hash === fingerprint) return described;
    throw new QueueError(
      `Cannot take the run: the store has other data as its model ${name} (hash ${short(hash)}, ` +
        `${short(fingerprint)} is due); empty the store`,
    );
  }
  throw new QueueError(
    `Cannot take the run: there is no model here with the hash of its ${name} (${
      short(fingerprint)
    }); start the worker with 'model', or both sides with the same 'store'`,
    { options: ["model", "store"] },
  );
}

function short(hash: string): string {
  return `${hash.slice(0, 12)}…`;
}

/** Whether a name means the same model on every machine. */
export function isCommonName(name: string): boolean {
  if (CATALOG.some((known) => known.name === name.toLowerCase())) return true;
  return !/^[./~\\]|\\|^[a-z]:/i.test(name) && parseModelReference(name) !== undefined;
}
