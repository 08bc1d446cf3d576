/**
 * The command line: `kvjudge generate` and its other commands, each imported when it is called.
 *
 * @module
 */
import { Command } from "@cliffy/command";
import { refuseEmptyValues } from "./commands/_empty_values.ts";
import { note } from "./commands/_output.ts";
import { reportError } from "./commands/_report_error.ts";
import type { Subcommand } from "./commands/_subcommand.ts";
import config from "./deno.json" with { type: "json" };

/** A subcommand: what the list says of it, and how to load it. */
interface Entry {
  readonly description: string;
  /** Whether it has commands, each with flags of its own. */
  readonly nested?: true;
  readonly load: () => Promise<Subcommand>;
}

const COMMANDS: Readonly<Record<string, Entry>> = {
  generate: {
    description: "Answer a question about a long prompt.",
    load: async () => (await import("./commands/generate.ts")).generateCommand(),
  },
  chat: {
    description: "Talk, about a document or what comes.",
    load: async () => (await import("./commands/chat.ts")).chatCommand(),
  },
  serve: {
    description: "Serve models over HTTP, to the clients of OpenAI and Ollama.",
    load: async () => (await import("./commands/serve.ts")).serveCommand(config.version),
  },
  explain: {
    description: "Show which tokens a policy keeps.",
    load: async () => (await import("./commands/explain.ts")).explainCommand(),
  },
  eval: {
    description: "Measure what policies keep, and the answers they leave.",
    nested: true,
    load: async () => (await import("./commands/eval.ts")).evalCommand(config.version),
  },
  train: {
    description: "Train what policies judge with, or measure it.",
    nested: true,
    load: async () => (await import("./commands/train.ts")).trainCommand(config.version),
  },
  worker: {
    description: "Work on samples and targets that others submit to a queue.",
    load: async () => (await import("./commands/worker.ts")).workerCommand(config.version),
  },
  queue: {
    description: "Show and mend a queue.",
    nested: true,
    load: async () => (await import("./commands/queue.ts")).queueCommand(),
  },
  policies: {
    description: "List the policies, check one of your own.",
    nested: true,
    load: async () => (await import("./commands/policies.ts")).policiesCommand(),
  },
  inspect: {
    description: "Show what a model, soft tokens or a saved cache holds, and what would run.",
    load: async () => (await import("./commands/inspect.ts")).inspectCommand(),
  },
  devices: {
    description: "List what this machine can compute with.",
    load: async () => (await import("./commands/devices.ts")).devicesCommand(),
  },
  models: {
    description: "List, fetch, verify and remove models.",
    nested: true,
    load: async () => (await import("./commands/models.ts")).modelsCommand(),
  },
};

/** The root command. Subcommands are imported when they run, so that its help loads none of them. */
function rootCommand() {
  const root = new Command()
    .name("kvjudge")
    .version(config.version)
    .description("Answers long prompts with a KV cache from which what is not needed was evicted.")
    .noExit()
    .help({ colors: Deno.stdout.isTerminal() })
    .env("KVJUDGE_HOME=<folder:string>", "Folder for models and converted weights.")
    .env("KVJUDGE_DEBUG=<on:string>", "1 shows the stack of every error.")
    .example("Options of a command", "kvjudge generate --help")
    .action(function () {
      this.showHelp();
    });
  for (const [name, { description, load }] of Object.entries(COMMANDS)) {
    const command = new Command().description(description).useRawArgs();
    root.command(
      name,
      command.action(async (_options, ...line: string[]) => {
        refuseEmptyValues(line);
        const subcommand = await load();
        await subcommand.parse(line);
      }),
    );
  }
  return root;
}

/**
 * Runs the command line.
 *
 * @param args Words behind the program's name.
 * @returns The exit code: 0, 1 for a bug, 2 for a mistake of the user, 130 after Ctrl-C.
 *
 * @example
 * ```ts
 * import { main } from "./cli.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await main(["policies"]), 0);
 * assertEquals(await main(["polices"]), 2);
 * ```
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    await rootCommand().parse([...args]);
    return 0;
  } catch (error) {
    const { text, exitCode } = reportError(error, commandOf(args), debugging());
    if (text !== "") note(text);
    return exitCode;
  }
}

/** The command that words call, as its help is asked for. */
function commandOf([name = "", second = ""]: readonly string[]): string {
  if (!Object.hasOwn(COMMANDS, name)) return "kvjudge";
  const nested = COMMANDS[name]?.nested === true && /^[a-z][\w-]*$/.test(second);
  return nested ? `kvjudge ${name} ${second}` : `kvjudge ${name}`;
}

function debugging(): boolean {
  const name = "KVJUDGE_DEBUG";
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" && ["1", "true"].includes(Deno.env.get(name) ?? "");
}

if (import.meta.main) Deno.exit(await main(Deno.args));
