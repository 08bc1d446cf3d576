import process from "node:process";
import { createInterface } from "node:readline";
import { watchForeignLoad } from "./load.ts";
import type { Reply } from "./protocol.ts";

/** The commands of an engine: each takes the command as it was sent and returns JSON. */
export type Handlers = Readonly<Record<string, (command: never) => unknown>>;

/** Answers commands from standard input until it ends. */
export async function serve(handlers: Handlers): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(handlers, line))}\n`);
  }
}

async function answer(handlers: Handlers, line: string): Promise<Reply> {
  try {
    const command: { readonly do: string } = JSON.parse(line);
    const handler = handlers[command.do];
    if (handler === undefined) throw new Error(`This engine cannot '${command.do}'.`);
    const foreignLoad = watchForeignLoad();
    const value = await handler(command as never) ?? null;
    return { ok: true, value, foreignLoad: foreignLoad() };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}
