import type { FetchProgress } from "../runtime/models/fetch_context.ts";
import { formatBytes } from "./_output.ts";

/** Tells on a terminal how work gets on; says nothing elsewhere. */
export interface Progress extends Disposable {
  /** A file is fetched. */
  fetching(progress: FetchProgress): void;
  /** Tokens of the prompt are read. */
  reading(done: number, total: number): void;
  /** Prompts, items or the like are gone through; `details` stand behind their number. */
  counting(task: string, done: number, total: number, details?: string): void;
  /** Wipes the line, so that text can follow. */
  clear(): void;
}

const SILENT: Progress = {
  fetching: () => {},
  reading: () => {},
  counting: () => {},
  clear: () => {},
  [Symbol.dispose]: () => {},
};

const PHASES: Readonly<Record<FetchProgress["phase"], string>> = {
  waiting: "waiting for another process to fetch",
  hub: "fetching",
  package: "fetching from a package",
  unpacking: "unpacking",
};

/** Columns of a terminal that has room for a long bar. */
const WIDE = 100;

function widthOf(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    // Not every terminal tells.
    return 80;
  }
}

/**
 * Opens a progress bar on standard error.
 *
 * @param terminal Whether standard error is a terminal; elsewhere nothing is ever written.
 */
export async function openProgress(
  terminal: boolean = Deno.stderr.isTerminal(),
): Promise<Progress> {
  if (!terminal) return SILENT;
  const columns = widthOf();
  // @ts-types="npm:@types/cli-progress@3.11.6"
  const { SingleBar } = await import("npm:cli-progress@3.12.0");
  const bar = new SingleBar({
    format: "{task} {bar} {percentage}% {amount}",
    barsize: columns < WIDE ? 10 : 24,
    barCompleteChar: "━",
    barIncompleteChar: " ",
    clearOnComplete: true,
    hideCursor: false,
    linewrap: false,
  });
  let current: string | undefined;
  const clear = () => {
    if (current !== undefined) bar.stop();
    current = undefined;
  };
  const show = (task: string, done: number, total: number, amount: string) => {
    if (current !== task) {
      clear();
      bar.start(total, done, { task, amount });
      current = task;
    }
    bar.setTotal(total);
    bar.update(done, { task, amount });
  };
  return {
    fetching: ({ file, received, total, phase }) =>
      show(`${PHASES[phase]} ${file}`, received, Math.max(total, received), formatBytes(received)),
    reading: (done, total) => show("reading", done, total, `${done} of ${total} tokens`),
    counting: (task, done, total, details) =>
      show(task, done, total, `${done} of ${total}${details ? `, ${details}` : ""}`),
    clear,
    [Symbol.dispose]: clear,
  };
}
