import { table } from "../_table.ts";
import { closest } from "npm:fastest-levenshtein@1.0.16";
import type { Policy } from "../../policies/policy.ts";
import { type Budget, parseBudget } from "../../runtime/evict/budget.ts";
import { PromptError } from "../../runtime/errors.ts";
import { formatBytes } from "../_output.ts";
import { meanKept, summary } from "../_session_summary.ts";
import type { Conversation } from "./conversation.ts";

/** What the commands of a chat work on. */
export interface ChatState {
  readonly conversation: Conversation;
  /** Loads a policy as `--policy` does. */
  readonly readPolicy: (source: string) => Promise<Policy>;
  policy: string;
  budget: Budget;
}

interface SlashCommand {
  readonly argument: string;
  readonly about: string;
  /** Returns what is to be shown. */
  run(argument: string, state: ChatState): Promise<string>;
}

/** The line that leaves a chat. */
export const LEAVING = new Set(["/quit", "/exit", "/q"]);

const COMMANDS: Readonly<Record<string, SlashCommand>> = {
  budget: {
    argument: "[amount]",
    about: "Show or set what is kept: tokens (256), a ratio (0.1) or bytes (8MiB).",
    run(argument, state) {
      if (argument !== "") {
        state.budget = parseBudget(argument);
        state.conversation.session.configure({ budget: state.budget });
      }
      const [[unit = "", amount = 0] = []] = Object.entries(state.budget);
      const text = unit === "bytes" ? formatBytes(Number(amount)) : `${amount} ${unit}`;
      return Promise.resolve(`budget: ${text}${argument === "" ? "" : ", from the next turn on"}`);
    },
  },
  policy: {
    argument: "[policy]",
    about: "Show or set what decides which tokens are kept, as --policy does.",
    async run(argument, state) {
      if (argument !== "") {
        const policy = await state.readPolicy(argument);
        state.conversation.session.configure({ policy });
        state.policy = argument;
      }
      return `policy: ${state.policy}${argument === "" ? "" : ", from the next turn on"}`;
    },
  },
  stats: {
    argument: "",
    about: "Show tokens, bytes, times and notes.",
    run: (_, { conversation: { session } }) => {
      const stats = session.stats();
      const { tokens, held, bytes } = stats;
      const ends = [Math.min(...held), Math.max(...held)].map((mean) => Number(mean.toFixed(1)));
      const range = [...new Set(ends)].join(" to ");
      const now = `now: ${tokens} tokens read and answered, ${range} held by each head, ` +
        `${formatBytes(bytes.now)}`;
      return Promise.resolve(`${now}\n${summary(stats)}`);
    },
  },
  save: {
    argument: "FILE",
    about: "Save the conversation with its cache, for /load and --cache.",
    async run(argument, { conversation: { session } }) {
      const { path, bytes, kept, tokens, record } = await session.save(named(argument, "save"));
      return `saved ${path}: ${meanKept({ ...record, kept })} of ${tokens} tokens, ${
        formatBytes(bytes)
      }`;
    },
  },
  load: {
    argument: "FILE",
    about: "Go on with a saved conversation or document.",
    async run(argument, { conversation }) {
      const path = named(argument, "load");
      await conversation.load(path);
      const stats = conversation.session.stats();
      return `loaded ${path}: ${meanKept(stats)} of ${stats.tokens} tokens`;
    },
  },
  undo: {
    argument: "",
    about: "Take the last question and its answer back.",
    async run(_, { conversation }) {
      const text = await conversation.undo();
      if (text === undefined) throw new PromptError("Cannot take a turn back: there is none");
      const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
      return `took back: ${shown}`;
    },
  },
  help: {
    argument: "",
    about: "Show this.",
    run: () => Promise.resolve(help()),
  },
};

/**
 * Runs a line that begins with a slash.
 *
 * @returns What is to be shown.
 * @throws {PromptError} If there is no such command, or its argument is unusable.
 */
export async function runSlashCommand(line: string, state: ChatState): Promise<string> {
  const [word = "", ...rest] = line.slice(1).split(/\s+/);
  const command = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
  if (command) return await command.run(rest.join(" ").trim(), state);
  const names = [...Object.keys(COMMANDS), "quit"];
  throw new PromptError(
    `Unknown command "/${word}". Did you mean "/${closest(word, names)}"? /help lists them all; ` +
      "a message that begins with a slash begins with two",
  );
}

function named(argument: string, command: string): string {
  if (argument !== "") return argument;
  throw new PromptError(`Cannot ${command} without a file: give one, as in /${command} talk.cache`);
}

function help(): string {
  const rows = [
    ...Object.entries(COMMANDS).map(([name, { argument, about }]) => [
      `/${name} ${argument}`.trimEnd(),
      about,
    ]),
    ["/quit", "Leave; Ctrl-D does, too. Ctrl-C stops an answer."],
  ];
  return table(rows, { left: [0, 1] }).trimEnd();
}
