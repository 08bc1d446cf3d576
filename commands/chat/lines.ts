import process from "node:process";
import { createInterface, type Interface } from "node:readline";

/** Lines that a user types, or that are piped. */
export interface Lines extends Disposable {
  /** The next line; `undefined` at the end. */
  next(prompt: string): Promise<string | undefined>;
}

/** Lines of standard input, with line editing and history where it is a terminal. */
export function openLines(terminal: boolean): Lines {
  return terminal ? typedLines() : pipedLines();
}

/** What is piped is read by one reader, which may hold lines that are asked for later. */
function pipedLines(): Lines {
  const reader = createInterface({ input: process.stdin, crlfDelay: Infinity });
  const lines = reader[Symbol.asyncIterator]();
  return {
    async next() {
      const { value, done } = await lines.next();
      return done ? undefined : value;
    },
    [Symbol.dispose]: () => reader.close(),
  };
}

/**
 * What is typed has a reader for each line: between two of them the terminal is as it was, so that
 * Ctrl-C is the signal that stops an answer.
 */
function typedLines(): Lines {
  let history: string[] = [];
  let reader: Interface | undefined;
  return {
    next: (prompt) =>
      new Promise((resolve) => {
        const { stdin: input, stdout: output } = process;
        const own = reader = createInterface({ input, output, terminal: true, history });
        own.on("history", (lines: string[]) => history = [...lines]);
        let answered: string | undefined;
        own.on("SIGINT", () => {
          const empty = own.line === "";
          output.write("\n");
          if (empty) output.write("Ctrl-D or /quit leaves the chat.\n");
          own.write(null, { ctrl: true, name: "e" });
          own.write(null, { ctrl: true, name: "u" });
          own.prompt();
        });
        own.on("line", (line: string) => {
          answered = line;
          own.close();
        });
        own.on("close", () => {
          if (answered === undefined) output.write("\n");
          resolve(answered);
        });
        own.setPrompt(prompt);
        own.prompt();
      }),
    [Symbol.dispose]: () => reader?.close(),
  };
}
