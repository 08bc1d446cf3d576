import { FAMILIES } from "./families/mod.ts";
import type { ModelFamily, MultimodalNames } from "./families/family.ts";
import { fieldsOf, named } from "./fields.ts";

type Settings = Readonly<Record<string, unknown>>;

/** A model family as GGUF files store it. */
export type GgufFamily = ModelFamily & Required<Pick<ModelFamily, "gguf">>;

/**
 * The family that a `config.json` names by `model_type`, by `architectures` or by both.
 *
 * @throws {CheckpointError} If it names none of `families`.
 */
export function huggingFaceFamily(
  path: string,
  settings: Settings,
  families: readonly ModelFamily[] = FAMILIES,
): ModelFamily {
  const config = fieldsOf(path, settings);
  const type = config.raw("model_type");
  const stated = config.raw("architectures") ?? [];
  const classes: readonly unknown[] = Array.isArray(stated) ? stated : [stated];
  const isNamed = (
    { modelType, architecture }: Pick<MultimodalNames, "modelType" | "architecture">,
  ) =>
    (type === undefined || type === modelType) &&
    (classes.length === 0
      ? type === modelType
      : classes.some((item) => named(item).toLowerCase() === architecture.toLowerCase()));
  const family = families.find(({ huggingFace }) =>
    isNamed(huggingFace) || (huggingFace.multimodal && isNamed(huggingFace.multimodal))
  );
  if (family) return family;
  const names = [
    ...classes.slice(0, 8).map(named),
    ...(type === undefined ? [] : [`model type ${named(type)}`]),
  ];
  return config.refuse(
    `its architecture (${names.join(", ") || "not stated"}) is not supported; supported are ` +
      new Intl.ListFormat("en-GB")
        .format(families.map(({ huggingFace }) => huggingFace.architecture)),
  );
}

/**
 * The family that the metadata of a GGUF file names.
 *
 * @throws {CheckpointError} If it names none of `families`.
 */
export function ggufFamily(
  path: string,
  metadata: Settings,
  families: readonly ModelFamily[] = FAMILIES,
): GgufFamily {
  const fields = fieldsOf(path, metadata);
  const architecture = fields.raw("general.architecture");
  const known = families.filter((family): family is GgufFamily => family.gguf !== undefined);
  const family = known.find(({ gguf }) => gguf.architecture === architecture);
  if (family) return family;
  return fields.refuse(
    `its architecture (${named(architecture ?? "not stated")}) is not supported; supported are ` +
      known.map(({ gguf }) => gguf.architecture).join(", "),
  );
}
