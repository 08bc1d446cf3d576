import { QueueError } from "./errors.ts";

/** What a client needs to connect. */
export interface QueueServer {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
  /** Present: the connection is encrypted. */
  readonly tls?: { readonly servername?: string; readonly ca?: string };
}

/** Where a queue is, and how one gets in. */
export interface QueueAddress {
  /** For messages: without a password. */
  readonly shown: string;
  readonly server: QueueServer;
}

/** What the address itself does not say. */
export interface QueueSecrets {
  /** From a file or a variable. */
  readonly password?: string;
  /** Certificates, as PEM, of whoever signs the server's; those that the system knows if absent. */
  readonly authority?: string;
}

const FORM = "give redis://HOST:PORT, or rediss://HOST:PORT for an encrypted connection";

/**
 * Reads `redis[s]://[user@]host[:port][/database]`.
 *
 * @throws {QueueError} If it is not written so, or holds a password: addresses are seen in the list of
 * processes.
 *
 * @example
 * ```ts
 * import { queueAddress } from "./address.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { shown, server } = queueAddress("rediss://ada@queue.example:6380/2", { password: "x" });
 * assertEquals([shown, server.db], ["rediss://ada@queue.example:6380/2", 2]);
 * ```
 */
export function queueAddress(text: string, secrets: QueueSecrets = {}): QueueAddress {
  const refuse = (problem: string): never => {
    throw new QueueError(`Cannot use the address of a queue: ${problem}`, { options: ["queue"] });
  };
  // What cannot be read might hold a password, so it is not shown.
  if (!URL.canParse(text)) refuse(`it is no URL; ${FORM} as 'queue'`);
  const url = new URL(text);
  if (!["redis:", "rediss:"].includes(url.protocol)) {
    refuse(`it begins with ${url.protocol}//; ${FORM} as 'queue'`);
  }
  if (url.password !== "") {
    refuse(
      "it holds a password, which the list of processes shows; leave it out and set " +
        "KVJUDGE_QUEUE_PASSWORD, or give a file with it",
    );
  }
  if (url.hostname === "") refuse(`it names no host; ${FORM} as 'queue'`);
  const path = url.pathname.replace(/^\//, "");
  if (!/^\d{0,4}$/.test(path)) refuse(`its database must be a number, got '${path}'`);
  const encrypted = url.protocol === "rediss:";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return {
    shown: url.href.replace(/\/$/, ""),
    server: {
      host,
      port: url.port === "" ? 6379 : Number(url.port),
      ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
      ...(secrets.password === undefined ? {} : { password: secrets.password }),
      ...(path === "" ? {} : { db: Number(path) }),
      ...(encrypted
        ? {
          tls: {
            // An address of numbers is no name that a server could be asked for.
            ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
            ...(secrets.authority === undefined ? {} : { ca: secrets.authority }),
          },
        }
        : {}),
    },
  };
}
