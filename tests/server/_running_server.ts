import { type ServerOptions, startServer } from "../../server/server.ts";
import type { Scheduler } from "../../server/scheduler/scheduler.ts";

/** A server on a free port of this machine. */
export interface TestServer extends AsyncDisposable {
  /** Such as `http://127.0.0.1:34567`. */
  readonly url: string;
  readonly port: number;
  readonly logged: unknown[];
  drain(): Promise<void>;
}

/** Starts a server on a scheduler. */
export async function testServer(
  scheduler: Scheduler,
  options: Partial<ServerOptions> = {},
): Promise<TestServer> {
  const logged: unknown[] = [];
  const server = await startServer(scheduler, {
    host: "127.0.0.1",
    port: 0,
    eviction: { policy: false, budget: 512 },
    allowPolicies: [],
    apiKeys: [],
    allowOrigins: [],
    maxBody: 2 ** 20,
    version: "1.2.3",
    log: (error) => void logged.push(error),
    ...options,
  });
  const { port } = server.listening;
  let drained: Promise<void> | undefined;
  const drain = () => drained ??= server.drain();
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    logged,
    drain,
    async [Symbol.asyncDispose]() {
      server.listening.cut();
      await drain();
    },
  };
}
