import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { KvjudgeError } from "../../runtime/errors.ts";
import type { Observed, Reply } from "./protocol.ts";

/** An engine in a process of its own. */
export interface Engine extends AsyncDisposable {
  /**
   * Sends a command and waits for the answer.
   *
   * @throws {KvjudgeError} If the engine refuses or its process has ended.
   */
  ask<T>(command: { readonly do: string }): Promise<Observed<T>>;
}

/** How much of a dead engine's last words is shown. */
const LAST_WORDS = 2000;

/**
 * Starts an engine.
 *
 * @param name For messages.
 * @param script Module that calls `serve`.
 * @param flags For `deno run`.
 */
export function spawnEngine(name: string, script: URL, flags: readonly string[]): Engine {
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(
    Deno.execPath(),
    ["run", "--quiet", ...flags, fileURLToPath(script)],
    { stdio: ["pipe", "pipe", "pipe"] },
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let lastWords = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    lastWords = (lastWords + text).slice(-LAST_WORDS);
  });
  // A write to a dead process is reported by the read that follows.
  child.stdin.on("error", () => {});

  return {
    async ask<T>(command: { readonly do: string }): Promise<Observed<T>> {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      const line = await lines.next();
      if (line.done) {
        await ended;
        throw new KvjudgeError(`${name} ended while asked to '${command.do}'. ${lastWords.trim()}`);
      }
      const reply: Reply<T> = JSON.parse(line.value);
      if (!reply.ok) throw new KvjudgeError(`${name}: ${reply.error}`);
      return { value: reply.value, foreignLoad: reply.foreignLoad };
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
      await ended;
      clearTimeout(timer);
    },
  };
}
