import type { RunSummary } from "../../evaluation/run/summary_record.ts";
import { startCli } from "../commands/_run_cli.ts";

/** A process of the command line that is under way. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>;
  /** Asks it to end, and waits for that. */
  stop(): Promise<string>;
  /** What it has said so far. */
  readonly said: string;
  /** Waits until it has said something. */
  saying(text: string): Promise<void>;
  /** Its exit code, once it has ended. */
  readonly ended: Promise<number>;
}

/** Starts the command line and listens to what it says. */
export function running(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Running {
  const child = startCli(args, { env });
  let said = "";
  const listen = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const bytes of stream) said += decoder.decode(bytes, { stream: true });
  };
  const heard = Promise.all([listen(child.stdout), listen(child.stderr)]);
  const ended = Promise.all([child.status, heard]).then(([{ code }]) => code);
  const end = async (signal: Deno.Signal) => {
    try {
      child.kill(signal);
    } catch {
      // It has ended already.
    }
    await ended;
  };
  return {
    pid: child.pid,
    kill: () => end("SIGKILL"),
    async stop() {
      await end("SIGTERM");
      return said;
    },
    get said() {
      return said;
    },
    async saying(text) {
      for (let tries = 0; !said.includes(text); tries++) {
        if (tries > 2000) throw new Error(`it did not say '${text}': ${said}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    ended,
    [Symbol.asyncDispose]: () => end("SIGKILL"),
  };
}

/** What a repetition must reproduce. */
export function lasting(folder: string): Omit<RunSummary, "timings"> {
  const { timings: _, ...rest } = JSON.parse(Deno.readTextFileSync(`${folder}/summary.json`));
  return rest;
}

/** Lines of a run's records. */
export function recordsOf(folder: string): readonly string[] {
  try {
    return Deno.readTextFileSync(`${folder}/samples.jsonl`).split("\n").slice(0, -1);
  } catch {
    return [];
  }
}
