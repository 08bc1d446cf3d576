/**
 * The process that runs models: commands come on its standard input, reports go to its standard output.
 *
 * @module
 */
import { createBatchScheduler } from "../scheduler/batch_scheduler.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import { wireError } from "./errors_on_wire.ts";
import { jsonLines } from "./json_lines.ts";
import type { Command, EngineState, Report, Task, TaskResult } from "./protocol.ts";

/** Milliseconds between two looks at how things stand. */
const STATE_EVERY = 200;

/**
 * Runs commands until there are no more.
 *
 * @param onClosed Called when all has ended that was to end before it closes.
 */
async function runEngine(
  commands: AsyncIterable<Command>,
  report: (report: Report) => void,
  onClosed: () => void,
): Promise<void> {
  const running = new Map<number, AbortController>();
  const work = new Set<Promise<void>>();
  const ending = new AbortController();
  let scheduler: Scheduler | undefined;
  let last = "";

  const state = (): void => {
    if (!scheduler) return;
    let documents: EngineState["documents"] = [];
    try {
      documents = scheduler.documents.list();
    } catch {
      // The folder has not been read yet.
    }
    const now = { models: scheduler.models(), stats: scheduler.stats(), documents };
    const text = JSON.stringify(now);
    if (text === last) return;
    last = text;
    report({ kind: "state", state: now });
  };
  const during = (call: number, task: (signal: AbortSignal) => Promise<TaskResult>): void => {
    const own = new AbortController();
    running.set(call, own);
    const done = (async () => {
      try {
        const result = await task(own.signal);
        state();
        report({ kind: "result", call, result });
      } catch (error) {
        state();
        report({ kind: "error", call, error: wireError(error) });
      } finally {
        running.delete(call);
      }
    })();
    work.add(done);
    done.finally(() => work.delete(done));
  };
  const timer = setInterval(state, STATE_EVERY);
  try {
    for await (const command of commands) {
      switch (command.kind) {
        case "start": {
          scheduler = createBatchScheduler({
            ...command.options,
            now: () => Date.now(),
            log: (text) => report({ kind: "log", text }),
          });
          const started = scheduler;
          started.ready.then(() => {
            state();
            report({ kind: "ready" });
          }, (error) => report({ kind: "not_ready", error: wireError(error) }));
          state();
          break;
        }
        case "submit": {
          const { call, request } = command;
          during(call, async (signal) => {
            for await (const event of startedOf(scheduler).submit({ ...request, signal })) {
              report({ kind: "event", call, event });
            }
            return { kind: "done" };
          });
          break;
        }
        case "call": {
          const { call, task } = command;
          const onProgress = (done: number, total: number) =>
            report({ kind: "progress", call, done, total });
          during(call, (signal) => perform(startedOf(scheduler), task, { signal, onProgress }));
          break;
        }
        case "cancel":
          running.get(command.call)?.abort(new DOMException("It was cancelled", "AbortError"));
          break;
        case "close":
          if (command.now) ending.abort();
          scheduler?.close({ now: ending.signal }).then(onClosed);
      }
    }
  } finally {
    // Whoever gave the commands is gone.
    ending.abort();
    await scheduler?.close({ now: ending.signal });
    await Promise.allSettled(work);
    clearInterval(timer);
  }
}

function startedOf(scheduler: Scheduler | undefined): Scheduler {
  if (scheduler) return scheduler;
  throw new TypeError("The engine was not started");
}

async function perform(
  scheduler: Scheduler,
  task: Task,
  { signal, onProgress }: {
    readonly signal: AbortSignal;
    readonly onProgress: (done: number, total: number) => void;
  },
): Promise<TaskResult> {
  switch (task.kind) {
    case "tokenize":
      return {
        kind: "tokens",
        tokens: await scheduler.tokenize(task.model, task.text, task.options),
      };
    case "detokenize":
      return { kind: "text", text: await scheduler.detokenize(task.model, task.ids) };
    case "create_document": {
      const { documents } = scheduler;
      const document = await documents.create({ ...task.request, signal, onProgress });
      return { kind: "document", document };
    }
    case "document_tokens":
      return { kind: "kept_tokens", tokens: await scheduler.documents.tokens(task.id) };
    case "remove_document":
      await scheduler.documents.remove(task.id);
      return { kind: "done" };
  }
}

/** Writes reports one behind the other. */
function reporter(): (report: Report) => void {
  const encoder = new TextEncoder();
  return (report) => {
    const bytes = encoder.encode(`${JSON.stringify(report)}\n`);
    for (let written = 0; written < bytes.length;) {
      written += Deno.stdout.writeSync(bytes.subarray(written));
    }
  };
}

/** Runs models for the process that has started this one, and ends it when that wants no more. */
export async function engineMain(): Promise<never> {
  // What libraries print must not be taken for reports.
  console.log = console.info = console.debug = console.error;
  // Native threads and policies' processes must not keep it.
  const exit = () => Deno.exit(0);
  await runEngine(jsonLines<Command>(Deno.stdin.readable), reporter(), exit);
  return exit();
}

if (import.meta.main) await engineMain();
