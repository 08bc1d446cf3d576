import process from "node:process";
import { unknownCommand, ValidationError } from "./errors.ts";
import { parseLine } from "./parse_line.ts";
import { parseValue } from "./value_types.ts";
import { helpOf, lineage, pathOf, type Settings } from "./settings.ts";

/** What a run came to. */
export interface Outcome {
  readonly settings: Settings;
  readonly options: Record<string, unknown>;
  readonly args: unknown[];
}

/** Reads a command line and runs the action of the command that it names. */
export async function run(settings: Settings, line: readonly string[]): Promise<Outcome> {
  const [first, ...rest] = line;
  const child = first === undefined || settings.useRawArgs
    ? undefined
    : settings.commands.get(first);
  if (child) return await run(child, rest);
  settings.rawArgs = [...line];
  try {
    return await execute(settings, line);
  } catch (error) {
    const ancestry = lineage(settings);
    if (!(error instanceof ValidationError) || ancestry.some(({ throwErrors }) => throwErrors)) {
      throw error;
    }
    console.log(helpOf(settings));
    console.error(`  error: ${error.message}\n`);
    return process.exit(error.exitCode);
  }
}

async function execute(settings: Settings, line: readonly string[]): Promise<Outcome> {
  const environment = readEnvironment(settings);
  if (settings.useRawArgs) {
    await settings.action?.(environment, [...line]);
    return { settings, options: environment, args: [...line] };
  }
  const end = line.indexOf("--");
  const words = end < 0 ? line : line.slice(0, end);
  settings.literalArgs = end < 0 ? [] : line.slice(end + 1);
  if (settings.arguments.length === 0 && settings.commands.size > 0) {
    const word = words.find((text) => !text.startsWith("-"));
    if (word !== undefined) throw unknownCommand(word, [...settings.commands.keys()]);
  }
  const parsed = parseLine(words, { ...settings, path: pathOf(settings) });
  const { help, version, ...values } = parsed.options;
  const options = { ...environment, ...values };
  if (help === true || (version === true && settings.version !== undefined)) {
    if (help === true) console.log(helpOf(settings));
    else {console.log(
        words.includes("-V") ? settings.version : `${pathOf(settings)} ${settings.version}`,
      );}
    if (lineage(settings).every(({ exit }) => exit)) process.exit(0);
  } else if (!settings.action && settings.commands.size > 0) {
    console.log(helpOf(settings));
    if (lineage(settings).every(({ exit }) => exit)) process.exit(0);
  } else {
    await settings.action?.(options, parsed.args);
  }
  return { settings, options, args: parsed.args };
}

function readEnvironment(settings: Settings): Record<string, unknown> {
  const entries = settings.variables.flatMap(({ name, property, type }): [string, unknown][] => {
    const granted = Deno.permissions.querySync({ name: "env", variable: name }).state === "granted";
    const value = granted ? process.env[name] : undefined;
    const handler = settings.types.get(type);
    if (!value || !handler) return [];
    return [[
      property,
      parseValue(handler, { label: "Environment variable", type, name, value }),
    ]];
  });
  return Object.fromEntries(entries);
}
