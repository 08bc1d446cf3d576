import { type App, type AppOptions, createApp } from "../../server/app.ts";
import { createServices, type ServerOptions } from "../../server/server.ts";
import { type FakeScheduler, fakeScheduler, type Script } from "./_fake_scheduler.ts";
import type { GenerationRequest } from "../../server/scheduler/request.ts";

/** An application without a socket, on a scheduler that does as it is told. */
export interface TestApp extends App {
  readonly scheduler: FakeScheduler;
  /** Errors that were the server's own fault. */
  readonly logged: unknown[];
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
  get(path: string, init?: RequestInit): Promise<Response>;
}

type Options = Partial<AppOptions & ServerOptions> & { readonly ready?: Promise<void> };

/** Makes an application for a test. */
export function testApp(
  script?: (request: GenerationRequest) => Script,
  options: Options = {},
): TestApp {
  const logged: unknown[] = [];
  const scheduler = fakeScheduler(script, options);
  let ids = 0;
  const services = createServices(scheduler, {
    eviction: { policy: false, budget: 512 },
    allowPolicies: [],
    version: "1.2.3",
    log: (error) => void logged.push(error),
    ...options,
  });
  const app = createApp(
    { ...services, now: () => 1_700_000_000_000, newId: () => `id${ids++}`, newSeed: () => 7 },
    { apiKeys: [], allowOrigins: [], maxBody: 2 ** 20, ...options },
  );
  const ask = async (path: string, init: RequestInit) =>
    await app.fetch(new Request(`http://localhost${path}`, init));
  return {
    ...app,
    scheduler,
    logged,
    post: (path, body, init = {}) =>
      ask(path, {
        method: "POST",
        body: typeof body === "string" ? body : JSON.stringify(body),
        ...init,
        headers: { "content-type": "application/json", ...init.headers },
      }),
    get: (path, init = {}) => ask(path, init),
  };
}

/** A message of a user, as a chat's body. */
export function saying(content: string, more: object = {}): object {
  return { messages: [{ role: "user", content }], ...more };
}

/** The events of a stream: their data, parsed where it is JSON. */
export async function eventsOf(response: Response): Promise<unknown[]> {
  const text = await response.text();
  return text.split("\n\n").filter((event) => event !== "" && !event.startsWith(":"))
    .map((event) => event.replace(/^(event: .*\n)?data: /, ""))
    .map((data) => data === "[DONE]" ? data : JSON.parse(data));
}

/** A part of a streamed chat, as far as tests look at it. */
export interface ChatChunk {
  readonly id: string;
  readonly object: string;
  readonly created: number;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: {
      readonly role?: string;
      readonly refusal?: null;
      readonly content?: string;
      readonly tool_calls?: readonly {
        readonly index: number;
        readonly id?: string;
        readonly type?: string;
        readonly function: { readonly name?: string; readonly arguments: string };
      }[];
    };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: { readonly total_tokens: number } | null;
  readonly kvjudge?: { readonly kept: number };
  readonly timings?: { readonly predicted_n: number };
  readonly prompt_progress?: object;
  readonly error?: { readonly message: string; readonly code: string | null };
}

/** The parts of a streamed chat; fails unless `[DONE]` ends it. */
export async function chunksOf(response: Response): Promise<readonly ChatChunk[]> {
  const events = await eventsOf(response);
  if (events.pop() !== "[DONE]") throw new Error("the stream does not end with [DONE]");
  return events as ChatChunk[];
}
