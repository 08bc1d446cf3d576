import type { ModelFile, ModelTensor } from "../../policies/policy.ts";
import { readFloats, readSafetensors, writeSafetensors } from "../checkpoint/safetensors.ts";
import { CheckpointError } from "../errors.ts";
import { demandText } from "../given.ts";
import { readLocally } from "../local_copy.ts";
import { MODEL_FINGERPRINT_KEY, MODEL_IDENTITY_KEY } from "../soft_tokens/read.ts";

/** Metadata key of the policy that a file was made for. */
const KIND_KEY = "policy";

/**
 * Reads what was made once for a model, for a policy to judge by: all tensors of a safetensors file.
 * Metadata other than the policy and the model's fingerprint and identity becomes its card.
 *
 * @param source Path, or `file:`, `http:` or `https:` URL.
 * @throws {CheckpointError} If the file is missing, damaged, or no such file.
 * @throws {FetchError} If the URL cannot be fetched.
 *
 * @example
 * ```ts
 * import { readModelFile, writeModelFile } from "./file.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const path = await Deno.makeTempFile();
 * const tensors = { curves: { shape: [2], data: Float32Array.of(0.5, 1) } };
 * await writeModelFile(path, { kind: "my_policy", tensors, fingerprint: "abc", card: { steps: "3" } });
 * const { kind, card, fingerprint } = await readModelFile(path);
 * assertEquals({ kind, card, fingerprint }, { kind: "my_policy", card: { steps: "3" }, fingerprint: "abc" });
 * await Deno.remove(path);
 * ```
 */
export async function readModelFile(source: string | URL): Promise<ModelFile> {
  return await readLocally(source, "a file made for a model", read);
}

/**
 * Writes such a file. It first has a temporary name in the same folder, so that the file is whole whenever
 * it exists.
 *
 * @param path File to create or replace; its folder must exist.
 * @throws {CheckpointError} If the file cannot be written, or the numbers of a tensor do not make its
 * shape.
 *
 * @example
 * ```ts
 * import { writeModelFile } from "./file.ts";
 * import { assertRejects } from "@std/assert";
 *
 * const tensors = { odd: { shape: [3], data: new Float32Array(2) } };
 * await assertRejects(() => writeModelFile("odd.safetensors", { kind: "my_policy", tensors }), Error, "odd");
 * ```
 */
export async function writeModelFile(path: string, file: ModelFile): Promise<void> {
  demandText("write a file for a model", "the path", path, "a path");
  const { kind, tensors, fingerprint, identity, card } = file;
  await writeSafetensors(path, tensors, {
    ...card,
    [KIND_KEY]: kind,
    ...(fingerprint === undefined ? {} : { [MODEL_FINGERPRINT_KEY]: fingerprint }),
    ...(identity === undefined ? {} : { [MODEL_IDENTITY_KEY]: identity }),
  });
}

function read(path: string): ModelFile {
  const header = readSafetensors(path);
  const {
    [KIND_KEY]: kind,
    [MODEL_FINGERPRINT_KEY]: fingerprint,
    [MODEL_IDENTITY_KEY]: identity,
    ...card
  } = header.metadata;
  if (kind === undefined) {
    throw new CheckpointError(
      `Cannot use ${path}: its metadata do not say for which policy it was made ("${KIND_KEY}"); give a ` +
        "file that kvjudge train made for a policy",
    );
  }
  const tensors: Record<string, ModelTensor> = {};
  for (const name of header.tensors.keys()) {
    const tensor = readFloats(path, name, header);
    if (!tensor.data.every(Number.isFinite)) {
      throw new CheckpointError(
        `Cannot use ${path}: some numbers of its tensor "${name}" are not finite; make it again`,
      );
    }
    tensors[name] = tensor;
  }
  return {
    kind,
    tensors,
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(identity === undefined ? {} : { identity }),
    card,
  };
}
