import { FetchError } from "../errors.ts";
import { formatModelReference, type ModelReference } from "./model_reference.ts";

/**
 * Chooses which files of a repository make up a model: the named GGUF file, a checkpoint with
 * safetensors, or the only GGUF file.
 *
 * @param paths All files of the repository.
 * @throws {FetchError} If nothing fits, or several GGUF files do.
 */
export function selectFiles(paths: readonly string[], reference: ModelReference): Set<string> {
  const name = formatModelReference(reference);
  const quantised = paths.filter((path) => path.endsWith(".gguf") && !LEAVES.test(path));
  if (reference.file !== undefined) {
    if (quantised.includes(reference.file)) return new Set([reference.file]);
    throw new FetchError(
      `Cannot fetch ${name}: the repository has no such file; it has ${list(quantised)}`,
    );
  }
  const weights = paths.filter((path) => WEIGHTS.test(path));
  if (weights.length > 0 && paths.includes("config.json")) {
    return new Set([...weights, ...paths.filter((path) => SETTINGS.has(path))]);
  }
  const [only, ...others] = quantised;
  if (only !== undefined && others.length === 0) return new Set([only]);
  if (only !== undefined) {
    throw new FetchError(
      `Cannot fetch ${name}: it has several GGUF files; name one, such as ` +
        `${reference.repository}:${only} (${list(quantised)})`,
    );
  }
  throw new FetchError(
    `Cannot fetch ${name}: it has neither config.json with *.safetensors nor a .gguf file; ` +
      "use a repository that has",
  );
}

/** Weights in the top folder, whole or in shards; other folders hold other formats of them. */
const WEIGHTS = /^model(?:-\d+-of-\d+)?\.safetensors$/;
const SETTINGS: ReadonlySet<string> = new Set([
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  "chat_template.json",
  "model.safetensors.index.json",
]);

/** Paths that lead out of the folder. */
const LEAVES = /^\/|\\|(?:^|\/)\.\.(?:\/|$)/;

function list(paths: readonly string[]): string {
  if (paths.length === 0) return "no .gguf file";
  return paths.slice(0, 8).join(", ") + (paths.length > 8 ? ", …" : "");
}
