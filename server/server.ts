import { createApp } from "./app.ts";
import { createMetrics } from "./http/metrics.ts";
import { watchReadiness } from "./http/readiness.ts";
import type { Services } from "./http/services.ts";
import { listen, type Listening, type ListenOptions } from "./listen.ts";
import type { EvictionDefaults } from "./policies/eviction.ts";
import { policyPermit } from "./policies/permit.ts";
import type { Scheduler } from "./scheduler/scheduler.ts";

/** How a server answers. */
export interface ServerOptions extends ListenOptions {
  readonly eviction: EvictionDefaults;
  /** Patterns of files and URLs that requests may name as policies. */
  readonly allowPolicies: readonly string[];
  readonly apiKeys: readonly string[];
  readonly allowOrigins: readonly string[];
  readonly maxBody: number;
  readonly version: string;
  readonly log: (error: unknown) => void;
  /** Milliseconds without an event after which a stream sends a comment. @default {10 seconds} */
  readonly keepAlive?: number;
}

/** A server that answers. */
export interface RunningServer {
  readonly listening: Listening;
  /** Lets what runs end, and takes nothing more. */
  drain(): Promise<void>;
}

/** Everything that handlers need, with this machine's time and randomness. */
export function createServices(
  scheduler: Scheduler,
  options: Pick<ServerOptions, "eviction" | "allowPolicies" | "version" | "log" | "keepAlive">,
): Services {
  return {
    scheduler,
    metrics: createMetrics(scheduler, () => performance.now()),
    readiness: watchReadiness(scheduler),
    eviction: options.eviction,
    permit: policyPermit(options.allowPolicies),
    now: () => Date.now(),
    newId: () => crypto.randomUUID().replaceAll("-", ""),
    newSeed: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
    keepAlive: options.keepAlive ?? 10_000,
    version: options.version,
    log: options.log,
  };
}

/**
 * Starts a server on a scheduler, which stays the caller's to close where this throws.
 *
 * @throws {StorageError} If the address cannot be had.
 */
export async function startServer(
  scheduler: Scheduler,
  options: ServerOptions,
): Promise<RunningServer> {
  const app = createApp(createServices(scheduler, options), {
    apiKeys: options.apiKeys,
    allowOrigins: options.allowOrigins,
    maxBody: options.maxBody,
    hosts: hostsOf(options),
  });
  const listening = await listen(app, options);
  return {
    listening,
    async drain() {
      const closed = listening.close();
      await scheduler.close();
      // Whoever holds a connection without asking anything is not waited for.
      listening.cut();
      await closed;
    },
  };
}

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]", "::1"];

/** Whether only this machine reaches an address. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.includes(host);
}

/**
 * Names of a server that only this machine can reach: a page that points a name of its own here would
 * otherwise pass for the server's own. One that is reached from elsewhere has names that it cannot know.
 */
function hostsOf({ host, allowOrigins }: ServerOptions): readonly string[] | undefined {
  if (!isLoopback(host) || allowOrigins.includes("*")) return undefined;
  const others = allowOrigins.filter((origin) => URL.canParse(origin))
    .map((origin) => new URL(origin).hostname);
  return [...LOOPBACK, ...others];
}
