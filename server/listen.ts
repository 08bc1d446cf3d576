import { createAdaptorServer } from "npm:@hono/node-server@2.1.9";
import type { Server } from "node:http";
import { StorageError } from "../runtime/errors.ts";
import type { App } from "./app.ts";

/** Where and how a server listens. */
export interface ListenOptions {
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  /** Milliseconds in which a request's header, and a whole request, must have come. */
  readonly patience?: { readonly header: number; readonly request: number };
}

/** A server that listens. */
export interface Listening {
  readonly host: string;
  readonly port: number;
  /** Takes no more connections; resolves when the last one has ended. */
  close(): Promise<void>;
  /** Cuts all connections. */
  cut(): void;
}

/** Long enough for a large document on a slow line, and an end to those who only hold a place. */
const PATIENCE = { header: 15_000, request: 120_000 };
/** Milliseconds between two looks at who is late. */
const CHECKING = 1000;

/**
 * Listens. Who sends a request too slowly gets 408, whatever is no HTTP gets 400.
 *
 * @throws {StorageError} If the address cannot be had.
 */
export async function listen(
  app: App,
  { host, port, patience = PATIENCE }: ListenOptions,
): Promise<Listening> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    overrideGlobalObjects: false,
    serverOptions: {
      headersTimeout: patience.header,
      requestTimeout: patience.request,
      connectionsCheckingInterval: Math.min(CHECKING, patience.header),
      keepAliveTimeout: 65_000,
    },
  });
  if (!isHttpServer(server)) throw new Error("the adaptor made no HTTP server");
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(cannotListen(error, host, port)));
    try {
      server.listen(port, host, () => resolve());
    } catch (error) {
      // What is no port is thrown at once.
      reject(error instanceof RangeError ? cannotListen(error, host, port) : error);
    }
  });
  const address = server.address();
  return {
    host,
    port: typeof address === "object" && address ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
    cut: () => server.closeAllConnections(),
  };
}

function isHttpServer(server: object): server is Server {
  return "closeAllConnections" in server && "headersTimeout" in server;
}

function cannotListen(error: Error, host: string, port: number): Error {
  const code = "code" in error ? error.code : undefined;
  const why = code === "EADDRINUSE"
    ? "it is in use already; give another --port"
    : code === "EACCES"
    ? "this user may not; give a --port above 1023"
    : code === "ERR_SOCKET_BAD_PORT"
    ? "a port is an integer from 0 to 65535; give another --port"
    : `${error.message}; give another --host or --port`;
  return new StorageError(`Cannot listen on ${host}:${port}: ${why}`, { cause: error });
}
