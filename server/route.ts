import type * as v from "npm:valibot@1.5.0";
import type { Services } from "./http/services.ts";

/** What a handler gets of a request. */
export interface Asked {
  /** The parsed body, where the route has one. */
  readonly body: unknown;
  /** What stands for `:id` in the path. */
  readonly param: string;
  /** Aborts when the client leaves. */
  readonly left: AbortSignal;
}

/** A way to ask. */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** `:id` stands for a part of it, `:id{.+}` for all that follows. */
  readonly path: string;
  readonly summary: string;
  /** The body's schema; the route checks it itself. */
  readonly body?: v.GenericSchema;
  /** Whether it needs no key. */
  readonly open?: boolean;
  readonly handle: (services: Services, asked: Asked) => Promise<Response | object> | object;
}
