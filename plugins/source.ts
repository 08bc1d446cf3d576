import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** Where a policy comes from. */
export type PolicySource =
  /** A policy of the registry. */
  | { readonly kind: "name"; readonly name: string }
  /** A file of the user's own. */
  | { readonly kind: "file"; readonly url: URL }
  /** A stranger's file. */
  | { readonly kind: "url"; readonly url: URL };

/**
 * Tells names, files and URLs apart: a file's path has a slash or ends like a script.
 *
 * @returns `undefined` if the text is none of them.
 *
 * @example
 * ```ts
 * import { policySource } from "./source.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(policySource("snapkv"), { kind: "name", name: "snapkv" });
 * assertEquals(policySource("./mine.ts")?.kind, "file");
 * assertEquals(policySource("https://example.org/mine.ts")?.kind, "url");
 * assertEquals(policySource("ftp://example.org/mine.ts"), undefined);
 * ```
 */
export function policySource(text: string): PolicySource | undefined {
  if (/^[a-z][\w-]*$/i.test(text)) return { kind: "name", name: text };
  if (/^[a-z][a-z\d+.-]+:/i.test(text)) {
    if (!URL.canParse(text)) return undefined;
    const url = new URL(text);
    if (url.protocol === "file:") return { kind: "file", url };
    return /^https?:$/.test(url.protocol) ? { kind: "url", url } : undefined;
  }
  if (!/[\\/]|\.[cm]?[jt]s$/i.test(text)) return undefined;
  return { kind: "file", url: pathToFileURL(resolve(text)) };
}
