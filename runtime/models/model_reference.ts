/** A model on the Hugging Face hub. */
export interface ModelReference {
  /** `owner/name`. */
  readonly repository: string;
  /** Branch, tag or commit. */
  readonly revision: string;
  /** One GGUF file of the repository; without it the checkpoint as a folder. */
  readonly file?: string;
}

/**
 * Reads `owner/name[@revision][:file.gguf]`.
 *
 * @returns Nothing if the text has another form.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseModelReference("ada/tiny@v1:q8.gguf"), {
 *   repository: "ada/tiny",
 *   revision: "v1",
 *   file: "q8.gguf",
 * });
 * ```
 */
export function parseModelReference(text: string): ModelReference | undefined {
  const groups = REFERENCE.exec(text)?.groups;
  if (groups?.repository === undefined || groups.repository.includes("..")) return undefined;
  const { repository, revision = "main", file } = groups;
  if ([...(file ?? "").split("/"), ...revision.split("/")].includes("..")) return undefined;
  return { repository, revision, ...(file === undefined ? {} : { file }) };
}

/** The text that {@linkcode parseModelReference} reads. */
export function formatModelReference({ repository, revision, file }: ModelReference): string {
  return `${repository}@${revision}${file === undefined ? "" : `:${file}`}`;
}

const REFERENCE =
  /^(?<repository>[\w][\w.-]*\/[\w][\w.-]*)(?:@(?<revision>[\w][\w./-]*))?(?::(?<file>[\w][\w./ -]*\.gguf))?$/;
