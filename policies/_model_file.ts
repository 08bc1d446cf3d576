import { findShippedFile, type ShippedFile } from "./model_files/index.ts";
import { type ModelFacts, type ModelFile, type ModelFileSource, OptionError } from "./policy.ts";

/** What a policy needs of the file that is made once for a model. */
export interface ModelFileNeeds {
  /** Name of the policy. */
  readonly policy: string;
  /** Command that makes one. */
  readonly make: string;
  /** Files that come with the project. @default {the table of `model_files/`} */
  readonly shipped?: readonly ShippedFile[];
}

/** What a policy says where it has no file for the model, as its note. */
export function noFileNote({ make }: ModelFileNeeds, instead: string): string {
  return `no file ships for this model, so ${instead}; make one with \`${make}\``;
}

/** A source as it stands in records. */
export function describeFileSource(source: ModelFileSource | undefined): string {
  if (source === undefined) return "default";
  if (typeof source === "string") return source;
  return source instanceof URL ? source.href : "given numbers";
}

/** Makes something once for each model; what failed is made again. */
export function oncePerModel<Made>(
  make: (model: ModelFacts) => Made | Promise<Made>,
): (model: ModelFacts) => Promise<Made> {
  const known = new Map<string, Promise<Made>>();
  return (model) => {
    const { fingerprint } = model;
    const found = known.get(fingerprint);
    if (found !== undefined) return found;
    const made = Promise.resolve(model).then(make);
    known.set(fingerprint, made);
    made.catch(() => known.delete(fingerprint));
    return made;
  };
}

/**
 * Reads the file of a policy for a model: that which was given, or that which comes with the project.
 *
 * @returns `undefined` where none was given and none ships.
 * @throws {OptionError} If it was made for another policy or another model.
 */
export async function modelFileFor(
  source: ModelFileSource | undefined,
  needs: ModelFileNeeds,
  model: ModelFacts,
): Promise<ModelFile | undefined> {
  const found = source ?? findShippedFile(needs.policy, model, needs.shipped);
  if (found === undefined) return undefined;
  const read = typeof found === "string" || found instanceof URL;
  const file = read ? await model.readModelFile(found) : found;
  const { kind, fingerprint, identity } = file;
  const refuse = (reason: string) =>
    new OptionError(
      `Cannot use ${
        describeFileSource(found)
      } with policy '${needs.policy}': ${reason}; make one ` +
        `with \`${needs.make}\``,
    );
  if (kind !== needs.policy) throw refuse(`it was made for policy '${kind}'`);
  const named = fingerprint !== undefined || identity !== undefined;
  if (named && fingerprint !== model.fingerprint && identity !== model.identity) {
    const of = file.card?.model ?? "a model";
    throw refuse(
      `it was made for ${of} with fingerprint ${fingerprint ?? "unknown"}, and this model has ` +
        `${model.fingerprint} and is not that one in another format`,
    );
  }
  return file;
}
