import { Command as Commander, CommanderError, Option } from "npm:commander@15.1.0";
import type { ArgumentDefinition, OptionDefinition } from "./definitions.ts";
import { flagOf, unknownOption, ValidationError } from "./errors.ts";
import { type ArgumentValue, parseValue, type ValueType } from "./value_types.ts";

/** What a command line is read against. */
export interface LineRules {
  readonly path: string;
  readonly options: readonly OptionDefinition[];
  readonly arguments: readonly ArgumentDefinition[];
  readonly types: ReadonlyMap<string, ValueType>;
}

/** A command line, read. */
export interface ParsedLine {
  readonly options: Record<string, unknown>;
  readonly args: unknown[];
}

/** Reads a command line without its subcommand and without what follows `--`. */
export function parseLine(line: readonly string[], rules: LineRules): ParsedLine {
  const given = new Map<OptionDefinition, unknown[]>();
  const commander = new Commander().exitOverride().configureOutput({ writeErr: () => {} })
    .helpOption(false).allowUnknownOption().allowExcessArguments();
  for (const definition of rules.options) {
    const option = new Option(commanderFlags(definition));
    commander.addOption(option).on(`option:${option.name()}`, (text?: string | null) => {
      if (text === "" && definition.settings.required !== true) return;
      given.set(definition, [...given.get(definition) ?? [], read(definition, text, rules)]);
    });
  }
  try {
    commander.parse([...line], { from: "user" });
  } catch (error) {
    throw error instanceof CommanderError ? translate(error) : error;
  }
  const args = readArguments(commander.args, rules);
  const standalone = [...given.keys()].some(({ name }) => name === "help" || name === "version");
  if (!standalone) {
    checkOptions(given, rules.options);
    checkRequired(args, rules);
  }
  return { options: optionValues(given, rules.options), args };
}

function commanderFlags({ flags, value }: OptionDefinition): string {
  const placeholder = value ? value.optional ? " [value]" : " <value>" : "";
  return `${flags.join(", ")}${placeholder}`;
}

function read(definition: OptionDefinition, text: unknown, { types }: LineRules): unknown {
  const { value, name } = definition;
  if (!value || typeof text !== "string") return true;
  return convert(types, { label: "Option", type: value.type, name: `--${name}`, value: text });
}

function convert(types: ReadonlyMap<string, ValueType>, given: ArgumentValue): unknown {
  const type = types.get(given.type);
  if (!type) throw new Error(`Unknown type "${given.type}".`);
  return parseValue(type, given);
}

function translate(error: CommanderError): Error {
  const flags = /'(.+)'/.exec(error.message)?.[1] ?? "";
  if (error.code !== "commander.optionMissingArgument") return error;
  const name = flags.split(/[ ,]+/).filter((word) => word.startsWith("-"))
    .sort((a, b) => Number(b.startsWith("--")) - Number(a.startsWith("--")))[0] ?? flags;
  return new ValidationError(`Missing value for option "${flagOf(name.replace(/^-+/, ""))}".`);
}

/** Like the library it stands in for, a flag that is no option fills a free argument first. */
function readArguments(words: readonly string[], rules: LineRules): unknown[] {
  const args: unknown[] = [];
  const surplus: string[] = [];
  let at = 0;
  for (const word of words) {
    const definition = rules.arguments[at];
    const [flag = "", value] = word.split("=", 2);
    const known = rules.options.find((option) => option.flags.includes(flag));
    if (known && word.length > 1) {
      throw new ValidationError(
        `Option "${flagOf(known.name)}" doesn't take a value, but got "${value}".`,
      );
    }
    if (definition) {
      if (!definition.variadic) at++;
      args.push(
        definition.optional && word === "" ? undefined : convert(rules.types, {
          label: "Argument",
          type: definition.type,
          name: definition.name,
          value: word,
        }),
      );
    } else if (word.length > 1 && word.startsWith("-")) {
      throw unknownOption(flag, rules.options.flatMap((option) => option.flags));
    } else {
      surplus.push(word);
    }
  }
  if (surplus.length === 0) return args;
  throw new ValidationError(
    rules.arguments.length === 0
      ? `No arguments allowed for command "${rules.path}".`
      : `Too many arguments: ${surplus.join(" ")}`,
  );
}

function checkRequired(args: readonly unknown[], rules: LineRules): void {
  const missing = rules.arguments.slice(args.length).filter(({ optional }) => !optional);
  if (missing.length > 0) {
    throw new ValidationError(`Missing argument(s): ${missing.map(({ name }) => name).join(", ")}`);
  }
}

function checkOptions(
  given: ReadonlyMap<OptionDefinition, readonly unknown[]>,
  options: readonly OptionDefinition[],
): void {
  const names = new Set([...given.keys()].map(({ name }) => name));
  const fallbacks = options.filter(({ settings }) => settings.default !== undefined);
  const set = new Set([...names, ...fallbacks.map(({ name }) => name)]);
  for (const [{ name, settings }, values] of given) {
    if (values.length > 1 && settings.collect !== true) {
      throw new ValidationError(
        `Option "${flagOf(name)}" can only occur once, but was found several times.`,
      );
    }
    const conflict = settings.conflicts?.find((other) => names.has(other));
    if (conflict !== undefined) {
      throw new ValidationError(
        `Option "${flagOf(name)}" conflicts with option "${flagOf(conflict)}".`,
      );
    }
    const absent = settings.depends?.find((other) => !set.has(other));
    if (absent !== undefined) {
      throw new ValidationError(
        `Option "${flagOf(name)}" depends on option "${flagOf(absent)}".`,
      );
    }
  }
  const required = options.find(({ name, settings }) => settings.required && !set.has(name));
  if (required) throw new ValidationError(`Missing required option "${flagOf(required.name)}".`);
}

function optionValues(
  given: ReadonlyMap<OptionDefinition, readonly unknown[]>,
  options: readonly OptionDefinition[],
): Record<string, unknown> {
  const entries = options.flatMap((option): [string, unknown][] => {
    const values = given.get(option);
    const { collect, default: fallback } = option.settings;
    if (values) return [[option.property, collect ? [...values] : values[0]]];
    return fallback === undefined ? [] : [[option.property, fallback]];
  });
  return Object.fromEntries(entries);
}
