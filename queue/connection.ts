import { Redis } from "npm:ioredis@6.0.0";
import type { QueueAddress, QueueServer } from "./address.ts";
import { QueueError } from "./errors.ts";

/** Longest pause between two tries to reach a server that is gone, in milliseconds. */
const RETRY_PAUSE = 1000;

/** Time for a server to answer the first word, in milliseconds. */
const CONNECT_TIME = 10_000;

/** Options of a connection that waits for a server that is gone, however long. */
export interface PatientOptions extends QueueServer {
  readonly connectTimeout: number;
  readonly maxRetriesPerRequest: null;
  readonly retryStrategy: (tries: number) => number;
}

/** How the engine of queues connects. */
export function patient({ server }: QueueAddress): PatientOptions {
  return {
    ...server,
    connectTimeout: CONNECT_TIME,
    maxRetriesPerRequest: null,
    retryStrategy: (tries) => Math.min(50 * tries, RETRY_PAUSE),
  };
}

/**
 * Opens a connection that outlives the server's absences, once the server has answered.
 *
 * @throws {QueueError} If the server cannot be reached, refuses the password, or may forget jobs.
 */
export async function connect(address: QueueAddress): Promise<Redis> {
  await checkQueue(address);
  const client = new Redis(patient(address));
  // Told by whoever watches; without a listener the library would print it.
  client.on("error", () => {});
  return client;
}

/**
 * Looks whether a queue can be used, before any work is done for it.
 *
 * @throws {QueueError} As {@linkcode connect}.
 */
export async function checkQueue(address: QueueAddress): Promise<void> {
  const { promise: broken, reject } = Promise.withResolvers<never>();
  const client = new Redis({
    ...address.server,
    connectTimeout: CONNECT_TIME,
    lazyConnect: true,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  client.on("error", reject);
  broken.catch(() => {});
  const limit = setTimeout(
    () => reject(new Error(`it gave no answer in ${CONNECT_TIME / 1000} seconds`)),
    CONNECT_TIME,
  );
  try {
    const answered = client.connect().then(() => client.info());
    checkServer(address, await Promise.race([answered, broken]));
  } catch (error) {
    if (error instanceof QueueError) throw error;
    throw new QueueError(`Cannot reach the queue at ${address.shown}: ${reasonOf(error)}`, {
      cause: error,
      options: ["queue"],
    });
  } finally {
    clearTimeout(limit);
    client.disconnect();
  }
}

/** Oldest server that the engine of queues works with. */
const OLDEST = [6, 2] as const;

function checkServer({ shown }: QueueAddress, info: string): void {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1];
  const version = field("redis_version") ?? "";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (version !== "" && (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))) {
    throw new QueueError(
      `Cannot use the queue at ${shown}: its server has version ${version}; take Redis 6.2, Valkey ` +
        "7.2 or later",
    );
  }
  const policy = field("maxmemory_policy");
  if (policy === undefined || policy === "noeviction" || field("maxmemory") === "0") return;
  throw new QueueError(
    `Cannot use the queue at ${shown}: its server drops entries when its memory is full ` +
      `(maxmemory-policy ${policy}), so jobs would be lost; set maxmemory-policy noeviction`,
  );
}

/**
 * Waits until something of the engine has closed, but not for ever: it would wait for a server that is
 * gone.
 */
export async function closed(closing: Promise<unknown>, limit = 1000): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, limit);
  await Promise.race([closing.catch(() => {}), late]);
  clearTimeout(timer);
}

/** What an error of the connection means, and the way out. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (/WRONGPASS|invalid password|invalid username/i.test(text)) {
    return "it refuses the password; set KVJUDGE_QUEUE_PASSWORD or give the file with the right one";
  }
  if (/NOAUTH|Authentication required/i.test(text)) {
    return "it wants a password; set KVJUDGE_QUEUE_PASSWORD or give a file with it";
  }
  if (/NOPERM/i.test(text)) return `its user may not do that (${text}); give the user more rights`;
  if (code === "ECONNREFUSED" || /ECONNREFUSED|refused/i.test(text)) {
    return "nothing listens there; check host and port, and whether the server runs";
  }
  if (["ENOTFOUND", "EAI_AGAIN"].includes(code) || /ENOTFOUND|getaddrinfo|lookup/i.test(text)) {
    return "there is no host of that name; check 'queue'";
  }
  if (/certificate|self.signed|UnknownIssuer|altnames|NotValidForName/i.test(text)) {
    return `its certificate is not trusted (${text}); give the file of its authority`;
  }
  if (
    /Protocol error|Unexpected|TLS|SSL|HandshakeFailure|InvalidContentType|ECONNRESET/i.test(text)
  ) {
    return `it does not speak as a queue does (${text}); check host and port, and redis:// or rediss://`;
  }
  if (/Connection is closed/i.test(text)) {
    return "it closed the connection; check host and port, and redis:// or rediss://";
  }
  return `${text}; check host and port, and whether the server runs`;
}
