import { fileURLToPath } from "node:url";
import { EngineError } from "../scheduler/errors.ts";
import { jsonLines } from "./json_lines.ts";
import type { Command, Report } from "./protocol.ts";

/** A process that runs models. */
export interface EngineProcess {
  /** Sends a command; one to a process that has ended goes nowhere. */
  send(command: Command): void;
  /** Resolves when it has ended, with how it ended. */
  readonly ended: Promise<EngineError>;
  /** Ends it at once. */
  kill(): void;
  readonly pid: number;
}

/** Starts a process. */
export type StartEngine = (onReport: (report: Report) => void) => EngineProcess;

/** What this program is started with again, to run models. */
export function engineArguments(standalone = Deno.build.standalone): readonly string[] {
  // A compiled program runs no other module: it runs itself.
  if (standalone) return ["serve", "--engine"];
  const script = new URL("./child.ts", import.meta.url);
  const path = script.protocol === "file:" ? fileURLToPath(script) : script.href;
  return ["run", "--quiet", "--no-prompt", "--allow-all", path];
}

/** Starts the engine's process with this program's own permissions. */
export const startEngineProcess: StartEngine = (onReport) => {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...engineArguments()],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  const encoder = new TextEncoder();
  const reading = (async () => {
    for await (const report of jsonLines<Report>(child.stdout)) onReport(report);
  })();
  const ended = (async () => {
    const { code, signal } = await child.status;
    await reading.catch(() => {});
    await writer.abort().catch(() => {});
    return new EngineError(
      `The process that runs the models ended (${
        signal ?? `exit code ${code}`
      }), and what it was ` +
        "asked for is lost: ask again",
    );
  })();
  return {
    // A write to a process that has ended fails; `ended` says so.
    send: (command) =>
      void writer.write(encoder.encode(`${JSON.stringify(command)}\n`)).catch(() => {}),
    ended,
    kill() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended by itself.
      }
    },
    pid: child.pid,
  };
};
