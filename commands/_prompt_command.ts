import { ValidationError } from "@cliffy/command";
import { closest } from "npm:fastest-levenshtein@1.0.16";
import { evictingCommand } from "./_model_command.ts";

/**
 * A command with the flags that every command has that reads a prompt. The types of the flags are
 * inferred, so the return type is too.
 */
export function promptCommand(name: string) {
  const command = evictingCommand().name(name);
  return command
    .type("question", ({ value }) => refuseFlag(value, command.getOptions()))
    .arguments("[question:question]")
    .option("-f, --prompt-file <file:string>", "Document to read, - for standard input.")
    .option("--system <text:string>", "System message.", { conflicts: ["raw"] })
    .option("--raw", "Read the text as it is, without the chat template.")
    .option("--ids-file <file:string>", "Read token ids, a JSON array, instead of text.", {
      conflicts: ["prompt-file", "system", "raw"],
    })
    .option(
      "-p, --policy <policy:string>",
      "What decides which tokens are kept: a name, a file or a URL, as in 'snapkv(window=16)'.",
      { default: "full" },
    )
    .option("--options <json:string>", "Options of a policy without parentheses, a JSON object.")
    .option(
      "-b, --budget <amount:string>",
      "What is kept: tokens (256), a ratio (0.1) or bytes (8MiB).",
      { default: "512" },
    );
}

/**
 * The question, unless it is a flag that does not exist: an unknown flag would otherwise be taken for
 * the question.
 */
function refuseFlag(text: string, options: readonly { readonly flags: string[] }[]): string {
  if (!/^-./.test(text)) return text;
  const [flag = text] = text.split("=");
  const known = options.flatMap(({ flags }) => flags).filter((other) => other.length > 2);
  throw new ValidationError(
    `Unknown option "${flag}". Did you mean option "${closest(flag, known)}"? ` +
      "A question that starts with a dash goes behind --.",
  );
}

/** What a command knows of the line that it was given. */
export interface GivenLine {
  getRawArgs(): string[];
  getLiteralArgs(): string[];
}

/**
 * The question of a command line: the argument, or what stands behind `--`. An empty one counts,
 * although the parser drops it: its giver meant to ask something.
 */
export function givenQuestion(line: GivenLine, argument: string | undefined): string | undefined {
  const [literal, ...surplus] = line.getLiteralArgs();
  if (surplus.length > 0 || (literal !== undefined && argument !== undefined)) {
    throw new ValidationError("Too many arguments: give one question, in quotes");
  }
  const raw = line.getRawArgs();
  const empty = raw.some((word, at) => word === "" && !raw[at - 1]?.startsWith("-"));
  return argument ?? literal ?? (empty ? "" : undefined);
}
