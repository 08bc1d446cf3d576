import { StorageError } from "../runtime/errors.ts";
import type { QueueMetrics } from "./metrics.ts";

/** Where metrics are asked for. */
export interface MetricsPlace {
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
}

/**
 * Answers `GET /metrics`.
 *
 * @throws {StorageError} If the address cannot be had.
 */
export function serveMetrics(
  metrics: QueueMetrics,
  { host, port }: MetricsPlace,
): AsyncDisposable & MetricsPlace {
  try {
    const server = Deno.serve({ hostname: host, port, onListen: () => {} }, async (request) => {
      if (new URL(request.url).pathname !== "/metrics") {
        return new Response("There is /metrics here\n", { status: 404 });
      }
      return new Response(await metrics.text(), {
        headers: { "content-type": metrics.contentType },
      });
    });
    return { host, port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
  } catch (error) {
    const why = error instanceof Deno.errors.AddrInUse
      ? "it is in use already"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new StorageError(
      `Cannot tell metrics on ${host}:${port}: ${why}; give another 'metricsPort'`,
      { cause: error, options: ["metricsPort"] },
    );
  }
}
