import { type Context, Hono } from "npm:hono@4.13.19";
import { cors } from "npm:hono@4.13.19/cors";
import { type ErrorReply, errorReply } from "./http/error_reply.ts";
import { createGuard, type GuardOptions } from "./http/guard.ts";
import { readJsonBody } from "./http/read_body.ts";
import { InvalidRequestError } from "./http/request_error.ts";
import type { Services } from "./http/services.ts";
import type { Route } from "./route.ts";
import { ROUTES } from "./routes.ts";

/** What a server permits. */
export interface AppOptions extends GuardOptions {
  /** Bytes of a body at most. */
  readonly maxBody: number;
}

/** Answers requests, wherever they came from. */
export interface App {
  readonly fetch: (request: Request) => Response | Promise<Response>;
}

/** Makes the application: all routes, who may ask, and what is said of errors. */
export function createApp(services: Services, options: AppOptions): App {
  const { metrics } = services;
  const guard = createGuard(options);
  const app = new Hono();

  app.use(async (context, next) => {
    await next();
    const label = ROUTES.find(({ path }) => path === context.req.routePath)?.path ?? "other";
    metrics.replied(label, context.res.status);
    context.header("x-content-type-options", "nosniff");
  });
  app.use(cors({
    origin: (origin) => guard.allowedOrigin(origin) ?? null,
    allowMethods: ["GET", "POST", "DELETE", "OPTIONS"],
    exposeHeaders: ["retry-after"],
    maxAge: 3600,
  }));
  app.use(async ({ req }, next) => {
    guard.checkHost(req.header("host") ?? null);
    await next();
  });
  for (const route of ROUTES) {
    app.on(route.method, route.path, async (context) => {
      if (!route.open) guard.checkKey(context.req.raw.headers);
      return await answer(route, context);
    });
  }
  app.notFound((context) => {
    guard.checkKey(context.req.raw.headers);
    throw missing(context.req.method, context.req.path);
  });
  app.onError((error, context) => {
    const reply = errorReply(error);
    if (reply.bug) services.log(error);
    return toResponse(reply, context);
  });

  async function answer({ handle, body: reads }: Route, { req }: Context): Promise<Response> {
    const body = reads ? await readJsonBody(req.raw, options.maxBody) : undefined;
    const result = await handle(services, {
      body,
      param: req.param("id") ?? "",
      left: req.raw.signal,
    });
    return result instanceof Response ? result : Response.json(result);
  }
  return { fetch: (request) => app.fetch(request) };
}

function toResponse({ status, body, headers }: ErrorReply, { req }: Context): Response {
  const shown = req.path.startsWith("/api/") ? { error: body.error.message } : body;
  return Response.json(shown, { status, headers });
}

/** There is no such path, or it takes another method. */
function missing(method: string, path: string): InvalidRequestError {
  const known = ROUTES.filter((route) => matches(route.path, path)).map((route) => route.method);
  if (known.length === 0) {
    return new InvalidRequestError(
      `There is no ${method} ${path} here; GET /openapi.json lists all`,
      {
        status: 404,
        code: "not_found",
      },
    );
  }
  const allow = known.join(", ");
  return new InvalidRequestError(`${path} takes ${allow}, not ${method}`, {
    status: 405,
    code: "method_not_allowed",
    headers: { allow },
  });
}

function matches(route: string, path: string): boolean {
  const [fixed = "", rest] = route.split(":id");
  if (rest === undefined) return path === route;
  const end = rest === "{.+}" ? "" : rest;
  const given = path.slice(fixed.length, path.length - end.length);
  const fits = path.startsWith(fixed) && path.endsWith(end) && given !== "";
  return fits && (rest === "{.+}" || !given.includes("/"));
}
