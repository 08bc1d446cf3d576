import { type ArgumentDefinition, type OptionDefinition, readOption } from "./definitions.ts";
import { helpText } from "./help.ts";
import { BUILT_IN_TYPES, type ValueType } from "./value_types.ts";

/** An environment variable as it was declared. */
export interface VariableDefinition {
  readonly name: string;
  readonly property: string;
  readonly type: string;
  readonly description: string;
}

/** Everything that was declared of a command. */
export interface Settings {
  name: string;
  version: string | undefined;
  description: string;
  arguments: ArgumentDefinition[];
  action: ((options: Record<string, unknown>, args: unknown[]) => unknown) | undefined;
  useRawArgs: boolean;
  throwErrors: boolean;
  exit: boolean;
  parent: Settings | undefined;
  rawArgs: string[];
  literalArgs: string[];
  readonly options: OptionDefinition[];
  readonly types: Map<string, ValueType>;
  readonly variables: VariableDefinition[];
  readonly examples: { readonly name: string; readonly text: string }[];
  readonly commands: Map<string, Settings>;
}

/** A command of which nothing has been declared. */
export function emptySettings(): Settings {
  return {
    name: "COMMAND",
    version: undefined,
    description: "",
    arguments: [],
    action: undefined,
    useRawArgs: false,
    throwErrors: false,
    exit: true,
    parent: undefined,
    rawArgs: [],
    literalArgs: [],
    options: [readOption("-h, --help", "Show this help.")],
    types: new Map(BUILT_IN_TYPES),
    variables: [],
    examples: [],
    commands: new Map(),
  };
}

/** Name of a command behind those of its parents. */
export function pathOf(settings: Settings): string {
  return settings.parent ? `${pathOf(settings.parent)} ${settings.name}` : settings.name;
}

/** Settings of a command and its parents, outermost last. */
export function lineage(settings: Settings): Settings[] {
  return [settings, ...settings.parent ? lineage(settings.parent) : []];
}

/** The help text of a command. */
export function helpOf(settings: Settings): string {
  return helpText({
    ...settings,
    path: pathOf(settings),
    version: lineage(settings).find(({ version }) => version !== undefined)?.version,
    commands: [...settings.commands.values()],
  });
}
