import process from "node:process";
import { readArguments, readOption } from "./definitions.ts";
import type {
  ActionOf,
  ArgumentsOf,
  BuiltInTypes,
  OptionOf,
  OptionSettings,
  VariableOf,
} from "./inference.ts";
import { run } from "./run.ts";
import { emptySettings, helpOf, pathOf, type Settings } from "./settings.ts";
import type { EnumType, TypeHandler } from "./value_types.ts";

/** What {@linkcode Command.parse} resolves to. */
export interface ParsedCommand {
  readonly options: Record<string, unknown>;
  readonly args: unknown[];
  /** What stood behind `--`. */
  readonly literal: string[];
}

/** An option, as {@linkcode Command.getOptions} lists it. */
export interface DeclaredOption {
  readonly name: string;
  /** All spellings, with dashes. */
  readonly flags: string[];
}

/**
 * A command with its options, arguments and subcommands. What is declared after
 * {@linkcode Command.command} belongs to that subcommand.
 */
export class Command<
  Options = object,
  Arguments extends unknown[] = [],
  Types = BuiltInTypes,
> {
  /** What has been declared. */
  readonly settings: Settings = emptySettings();
  #target: Settings = this.settings;

  name(name: string): this {
    this.#target.name = name;
    return this;
  }

  version(version: string): this {
    if (this.#target.version === undefined) {
      this.#target.options.push(
        readOption("-V, --version", "Show the version number for this program."),
      );
    }
    this.#target.version = version;
    return this;
  }

  description(description: string): this {
    this.#target.description = description;
    return this;
  }

  /** Accepted as the library accepts it; the help here has no colours to turn off. */
  help(_options: { readonly colors?: boolean }): this {
    return this;
  }

  example(name: string, text: string): this {
    this.#target.examples.push({ name, text });
    return this;
  }

  /** Declares an environment variable, such as `KVJUDGE_HOME=<folder:string>`. */
  env<Definition extends string>(
    definition: Definition,
    description: string,
  ): Command<Options & VariableOf<Definition, Types>, Arguments, Types> {
    const [name = "", value = "<value:boolean>"] = definition.split("=");
    const property = name.toLowerCase()
      .replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const type = readArguments(value)[0]?.type ?? "boolean";
    this.#target.variables.push({ name, property, type, description });
    return this as unknown as Command<Options & VariableOf<Definition, Types>, Arguments, Types>;
  }

  type<Name extends string, T>(
    name: Name,
    handler: TypeHandler<T>,
  ): Command<Options, Arguments, Types & Record<Name, T>>;
  type<Name extends string, T extends string | number | boolean>(
    name: Name,
    handler: EnumType<T>,
  ): Command<Options, Arguments, Types & Record<Name, T>>;
  type<Name extends string>(
    name: Name,
    handler: TypeHandler<unknown> | EnumType<string | number | boolean>,
  ): unknown {
    this.#target.types.set(name, handler);
    return this;
  }

  arguments<Definition extends string>(
    definition: Definition,
  ): Command<Options, ArgumentsOf<Definition, Types>, Types> {
    this.#target.arguments = readArguments(definition);
    return this as unknown as Command<Options, ArgumentsOf<Definition, Types>, Types>;
  }

  option<
    Flags extends string,
    Default = undefined,
    Required extends boolean = false,
    Collect extends boolean = false,
  >(
    flags: Flags,
    description: string,
    settings?: OptionSettings<Default, Required, Collect>,
  ): Command<Options & OptionOf<Flags, Types, Default, Required, Collect>, Arguments, Types> {
    this.#target.options.push(readOption(flags, description, settings));
    return this as unknown as Command<
      Options & OptionOf<Flags, Types, Default, Required, Collect>,
      Arguments,
      Types
    >;
  }

  action(action: ActionOf<this, Options, Arguments>): this {
    this.#target.action = (options, args) =>
      action.call(this, options as Options, ...args as Arguments);
    return this;
  }

  /** Adds a subcommand; what is declared next belongs to it. */
  command(name: string, command: { readonly settings: Settings }): Command {
    command.settings.name = name;
    command.settings.parent = this.settings;
    this.settings.commands.set(name, command.settings);
    this.#target = command.settings;
    return this as unknown as Command;
  }

  /** Hands the action every word of the command line as it stands, flags too. */
  useRawArgs(): Command<object, string[], Types> {
    this.#target.useRawArgs = true;
    return this as unknown as Command<object, string[], Types>;
  }

  /** Throws a {@linkcode ValidationError} instead of printing the help and exiting. */
  throwErrors(): this {
    this.#target.throwErrors = true;
    return this;
  }

  /** Returns after the help or the version instead of exiting; throws errors too. */
  noExit(): this {
    this.#target.exit = false;
    return this.throwErrors();
  }

  getOptions(): DeclaredOption[] {
    return [...this.settings.options];
  }

  getPath(): string {
    return pathOf(this.settings);
  }

  /** The command line of the last {@linkcode Command.parse}, as it was given. */
  getRawArgs(): string[] {
    return this.settings.rawArgs;
  }

  /** What stood behind `--` in the last {@linkcode Command.parse}. */
  getLiteralArgs(): string[] {
    return this.settings.literalArgs;
  }

  showHelp(): void {
    console.log(helpOf(this.settings));
  }

  /** Reads a command line and runs the action of the command that it names. */
  async parse(args: string[] = process.argv.slice(2)): Promise<ParsedCommand> {
    const { options, args: values, settings } = await run(this.settings, args);
    return { options, args: values, literal: settings.literalArgs };
  }
}
