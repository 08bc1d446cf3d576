import { homedir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

/** Looks up an environment variable. */
export type Environment = (name: string) => string | undefined;

/** The variables of this process. */
export function processEnvironment(name: string): string | undefined {
  return process.env[name];
}

/** What {@linkcode homeFolder} depends on besides the environment. */
export interface HomeOptions {
  /** As in `process.platform`. @default {process.platform} */
  readonly platform?: string;
  /** The user's own folder. @default {homedir()} */
  readonly user?: string;
}

/**
 * The folder for models and other files that can be made again: `KVJUDGE_HOME`, otherwise `kvjudge`
 * in the system's cache folder. It is not created here.
 *
 * @returns An absolute path.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const options = { platform: "linux", user: "/home/ada" };
 * assertEquals(homeFolder(() => undefined, options), "/home/ada/.cache/kvjudge");
 * ```
 */
export function homeFolder(
  environment: Environment = processEnvironment,
  { platform = process.platform, user = homedir() }: HomeOptions = {},
): string {
  const own = environment("KVJUDGE_HOME");
  if (own) return resolve(own);
  const caches = environment("XDG_CACHE_HOME") || systemCaches(environment, platform, user);
  return resolve(caches, "kvjudge");
}

function systemCaches(environment: Environment, platform: string, user: string): string {
  if (platform === "win32") return environment("LOCALAPPDATA") || join(user, "AppData", "Local");
  if (platform === "darwin") return join(user, "Library", "Caches");
  return join(user, ".cache");
}
