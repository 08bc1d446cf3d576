import { fileURLToPath } from "node:url";
import * as v from "npm:valibot@1.5.0";
import { PolicyError } from "../../runtime/errors.ts";
import { checkJson, demand, type SchemaOf } from "../../runtime/schema.ts";
import { listingCommand, started } from "./deno_program.ts";

/** Milliseconds for listing what lies in Deno's cache. */
const LISTING = 60_000;

/** A module of a plugin. */
export interface PluginModule {
  readonly specifier: string;
  /** Why Deno cannot read it. */
  readonly error?: string | undefined;
}

/**
 * The modules that a plugin consists of.
 *
 * @throws {PolicyError} If nobody may ask Deno for them.
 */
export async function listModules(url: URL): Promise<readonly PluginModule[]> {
  const signal = AbortSignal.timeout(LISTING);
  const { stdout } = await started(() => listingCommand(url, signal).output(), url);
  const listed = checkJson(LISTED, new TextDecoder().decode(stdout));
  const { modules } = demand(
    listed,
    (problem) => new PolicyError(`Cannot load the policy ${url.href}: ${problem}`),
  );
  return modules;
}

/** The files of this machine that a plugin consists of. */
export async function localFiles(url: URL): Promise<readonly string[]> {
  return (await listModules(url)).flatMap(({ specifier }) =>
    specifier.startsWith("file:") ? [fileURLToPath(specifier)] : []
  );
}

const LISTED: SchemaOf<{ readonly modules: readonly PluginModule[] }> = v.object({
  modules: v.array(v.object({ specifier: v.string(), error: v.optional(v.string()) })),
});
