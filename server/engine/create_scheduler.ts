import { createEventChannel, type EventChannel } from "../scheduler/event_channel.ts";
import { type EngineError, StoppingError, UnknownDocumentError } from "../scheduler/errors.ts";
import type { GenerationEvent } from "../scheduler/events.ts";
import type { SchedulerOptions } from "../scheduler/options.ts";
import type { GenerationRequest } from "../scheduler/request.ts";
import type { Scheduler, SchedulerStats } from "../scheduler/scheduler.ts";
import { type EngineProcess, type StartEngine, startEngineProcess } from "./engine_process.ts";
import { errorOf } from "./errors_on_wire.ts";
import type { EngineState, Report, Task, TaskResult } from "./protocol.ts";

/** Times that the process may end before it was ready, one after the other. */
const ATTEMPTS = 3;

interface Call {
  readonly onEvent?: EventChannel<GenerationEvent>["push"];
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly resolve: (result: TaskResult) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Runs requests in a process of its own, so that whoever answers HTTP never waits for a model. Should it
 * die, what it was asked for fails, and another one takes its place.
 */
export function createScheduler(
  options: SchedulerOptions,
  { start = startEngineProcess }: { readonly start?: StartEngine } = {},
): Scheduler {
  const { log, now, ...engineOptions } = options;
  const created = Math.floor(now() / 1000);
  const calls = new Map<number, Call>();
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => {});
  let next = 0;
  let failures = 0;
  let stopping = false;
  let stopped: EngineError | undefined;
  let state: EngineState = {
    models: options.models.map(({ id }) => ({ id, created, loaded: false })),
    stats: emptyStats(options),
    documents: [],
  };

  const onReport = (report: Report): void => {
    switch (report.kind) {
      case "ready":
        failures = 0;
        return ready.resolve();
      case "not_ready":
        return ready.reject(errorOf(report.error));
      case "state":
        state = report.state;
        return;
      case "log":
        return log(report.text);
      case "event":
        return calls.get(report.call)?.onEvent?.(report.event);
      case "progress":
        return calls.get(report.call)?.onProgress?.(report.done, report.total);
      case "result":
        return calls.get(report.call)?.resolve(report.result);
      case "error":
        return calls.get(report.call)?.reject(errorOf(report.error));
    }
  };
  const begin = (): EngineProcess => {
    const started = start(onReport);
    started.send({ kind: "start", options: engineOptions });
    started.ended.then((error) => {
      if (started !== engine) return;
      for (const { reject } of [...calls.values()]) reject(error);
      if (stopping) return;
      log(error.message);
      state = { ...state, stats: { ...state.stats, running: 0, waiting: 0, cacheBytes: 0 } };
      if (++failures < ATTEMPTS) engine = begin();
      else {
        stopped = error;
        ready.reject(error);
      }
    });
    return started;
  };
  let engine = begin();
  const open = () => {
    if (stopping) throw new StoppingError("The server is about to end: ask again later");
    if (stopped) throw stopped;
  };
  /** Sends a call and awaits its result; leaves it at once when a signal aborts. */
  const ask = async (
    send: (call: number) => void,
    { signal, onEvent, onProgress }: {
      readonly signal?: AbortSignal | undefined;
      readonly onEvent?: (event: GenerationEvent) => void;
      readonly onProgress?: ((done: number, total: number) => void) | undefined;
    },
  ): Promise<TaskResult> => {
    signal?.throwIfAborted();
    const call = next++;
    const { promise, resolve, reject } = Promise.withResolvers<TaskResult>();
    calls.set(call, { resolve, reject, ...(onEvent ? { onEvent } : {}), onProgress });
    const cancel = () => {
      engine.send({ kind: "cancel", call });
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      send(call);
      return await promise;
    } finally {
      signal?.removeEventListener("abort", cancel);
      calls.delete(call);
    }
  };
  const task = async <Kind extends TaskResult["kind"]>(
    work: Task,
    kind: Kind,
    given: Pick<Parameters<typeof ask>[1], "signal" | "onProgress"> = {},
  ): Promise<Extract<TaskResult, { kind: Kind }>> => {
    open();
    const result = await ask((call) => engine.send({ kind: "call", call, task: work }), given);
    if (isOf(result, kind)) return result;
    throw new TypeError(`Cannot use the engine's answer to '${work.kind}': it is '${result.kind}'`);
  };
  async function* submit(
    { signal, ...request }: GenerationRequest,
  ): AsyncGenerator<GenerationEvent, void> {
    open();
    const left = new AbortController();
    const channel = createEventChannel<GenerationEvent>();
    const given = signal ? [signal] : [];
    const asked = ask((call) => engine.send({ kind: "submit", call, request }), {
      signal: AbortSignal.any([left.signal, ...given]),
      onEvent: channel.push,
    });
    asked.then(() => channel.end(), (reason) => channel.end({ reason }));
    try {
      yield* channel.events;
    } finally {
      left.abort(new DOMException("The client has left", "AbortError"));
    }
  }
  return {
    models: () => state.models,
    submit,
    async tokenize(model, text, tokenizing = {}) {
      const work: Task = { kind: "tokenize", model, text, options: tokenizing };
      return (await task(work, "tokens")).tokens;
    },
    async detokenize(model, ids) {
      return (await task({ kind: "detokenize", model, ids }, "text")).text;
    },
    documents: {
      async create({ signal, onProgress, ...request }) {
        const given = { signal, onProgress };
        return (await task({ kind: "create_document", request }, "document", given)).document;
      },
      list: () => state.documents,
      get(id) {
        const found = state.documents.find((document) => document.id === id);
        if (found) return found;
        throw new UnknownDocumentError(`There is no document '${id}' here: read it first`);
      },
      async tokens(id) {
        return (await task({ kind: "document_tokens", id }, "kept_tokens")).tokens;
      },
      async remove(id) {
        await task({ kind: "remove_document", id }, "done");
      },
    },
    stats: () => state.stats,
    ready: ready.promise,
    async close({ now: atOnce } = {}) {
      stopping = true;
      if (stopped) return;
      const end = () => {
        engine.send({ kind: "close", now: true });
        for (const { reject } of [...calls.values()]) reject(new StoppingError("The server ends"));
      };
      engine.send({ kind: "close", now: atOnce?.aborted ?? false });
      if (atOnce?.aborted) end();
      atOnce?.addEventListener("abort", end, { once: true });
      // Its answer to the command is its end.
      await engine.ended;
      ready.reject(new StoppingError("The server has ended"));
    },
  };
}

function isOf<Kind extends TaskResult["kind"]>(
  result: TaskResult,
  kind: Kind,
): result is Extract<TaskResult, { kind: Kind }> {
  return result.kind === kind;
}

function emptyStats({ parallel, cacheMemory }: SchedulerOptions): SchedulerStats {
  return {
    ...{ running: 0, waiting: 0, parallel, cacheBytes: 0, cacheMemory },
    ...{ prefixQueries: 0, prefixHits: 0, promptTokens: 0, generationTokens: 0 },
    ...{ evictions: 0, steps: 0, stepTokens: 0 },
  };
}
