import type { Licence } from "./catalog.ts";
import type { Environment } from "./home.ts";

/** How far a fetch is. */
export interface FetchProgress {
  /** Name of the file. */
  readonly file: string;
  /** Bytes of this file that are here. */
  readonly received: number;
  /** Bytes of the whole file; 0 while unknown. */
  readonly total: number;
  /**
   * `waiting` for another process that fetches the same model, downloading from the `hub`,
   * downloading a `package` that ships the file, `unpacking` it.
   */
  readonly phase: "waiting" | "hub" | "package" | "unpacking";
  /** Terms that the model comes under, where they are more than a free licence. */
  readonly licence?: Licence;
}

/** What a program said. */
export interface CommandResult {
  /** Exit code; 0 is success. */
  readonly code: number;
  /** Standard error. */
  readonly error: string;
}

/** Runs a program to its end; returns nothing if there is no such program. */
export type RunCommand = (
  command: string,
  args: readonly string[],
  options: { readonly env: Readonly<Record<string, string>>; readonly signal: AbortSignal },
) => Promise<CommandResult | undefined>;

/** The world outside that fetching depends on. */
export interface FetchContext {
  /** Folder that holds all models; see `homeFolder`. */
  readonly home: string;
  /** Stops the fetch; what was received stays for the next one. */
  readonly signal: AbortSignal;
  /** Environment variables. */
  readonly environment: Environment;
  /** Reaches the hub. */
  readonly fetch: typeof fetch;
  /** Starts pip. */
  readonly run: RunCommand;
  /** As in `process.platform`. */
  readonly platform: string;
  /** Waits, or rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** Hears how far the fetch is, for every piece that comes in. */
  readonly onProgress: (progress: FetchProgress) => void;
  /** Only what is already here. */
  readonly offline: boolean;
  /** Milliseconds to wait for an answer before a host counts as unreachable. */
  readonly patience: number;
  /** Milliseconds without a byte before a download counts as cut. */
  readonly stall: number;
}
