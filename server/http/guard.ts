import { createHash, timingSafeEqual } from "node:crypto";
import { InvalidRequestError } from "./request_error.ts";

/** Who may ask. */
export interface GuardOptions {
  /** Keys, one of which a request must have; none: anybody may ask. */
  readonly apiKeys: readonly string[];
  /** Origins whose pages may ask, `*` for all. */
  readonly allowOrigins: readonly string[];
  /** Names that a request may call this server; absent: any. */
  readonly hosts?: readonly string[] | undefined;
}

/** Refuses requests that may not be served. */
export interface Guard {
  /**
   * Checks the key.
   *
   * @throws {InvalidRequestError} If it is missing or wrong.
   */
  checkKey(headers: Headers): void;
  /**
   * Refuses another name than the server's own: a page could reach a server on this machine by a name
   * that it had pointed here.
   *
   * @throws {InvalidRequestError} If the name is not one of `hosts`.
   */
  checkHost(host: string | null): void;
  /** The origin that a browser is told may read the reply; absent: none. */
  allowedOrigin(origin: string | null): string | undefined;
}

/** Makes a guard. Keys are compared by their digests, in the same time wherever they differ. */
export function createGuard({ apiKeys, allowOrigins, hosts }: GuardOptions): Guard {
  const digests = apiKeys.map(digest);
  return {
    checkKey(headers) {
      if (digests.length === 0) return;
      const given = /^Bearer\s+(.+)$/i.exec(headers.get("authorization") ?? "")?.[1] ??
        headers.get("x-api-key");
      if (given === null || given === undefined) {
        throw refused("Missing API key: send it as 'Authorization: Bearer KEY'");
      }
      const asked = digest(given.trim());
      // Every key is compared, so that the time says nothing of which one was nearly met.
      const matches = digests.filter((known) => timingSafeEqual(known, asked)).length;
      if (matches === 0) throw refused("Wrong API key");
    },
    checkHost(host) {
      if (!hosts) return;
      const name = (host ?? "").replace(/:\d+$/, "").toLowerCase();
      if (hosts.includes(name)) return;
      throw new InvalidRequestError(
        `This server is not called ${
          JSON.stringify(name)
        }; ask it by its address, or start it with ` +
          "--host",
        { status: 403, code: "wrong_host" },
      );
    },
    allowedOrigin(origin) {
      if (origin === null) return undefined;
      if (allowOrigins.includes("*")) return "*";
      return allowOrigins.includes(origin) ? origin : undefined;
    },
  };
}

function digest(key: string): Uint8Array {
  return createHash("sha256").update(key).digest();
}

function refused(message: string): InvalidRequestError {
  return new InvalidRequestError(message, {
    status: 401,
    type: "authentication_error",
    code: "invalid_api_key",
    headers: { "www-authenticate": "Bearer" },
  });
}
