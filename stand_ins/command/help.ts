import { Command as Commander, Option } from "npm:commander@15.1.0";
import { type ArgumentDefinition, type OptionDefinition, showArguments } from "./definitions.ts";
import { EnumType, type ValueType } from "./value_types.ts";

/** What the help of a command tells. */
export interface HelpFacts {
  readonly path: string;
  readonly version: string | undefined;
  readonly description: string;
  readonly options: readonly OptionDefinition[];
  readonly arguments: readonly ArgumentDefinition[];
  readonly types: ReadonlyMap<string, ValueType>;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly variables: readonly { readonly name: string; readonly description: string }[];
  readonly examples: readonly { readonly name: string; readonly text: string }[];
}

/** The help text of a command. */
export function helpText(facts: HelpFacts): string {
  const commander = new Commander(facts.path).helpOption(false).helpCommand(false)
    .usage(
      ["[options]", showArguments(facts.arguments)].filter((word) => word !== "").join(" "),
    ).description(facts.description);
  for (const option of facts.options.filter(({ settings }) => !settings.hidden)) {
    const value = option.value ? ` ${showArguments([option.value])}` : "";
    const description = `${option.description}${hints(option, facts.types)}`;
    commander.addOption(new Option(`${option.flags.join(", ")}${value}`, description));
  }
  for (const { name, description } of facts.commands) {
    commander.addCommand(new Commander(name).usage(" ").summary(description));
  }
  const version = facts.version === undefined ? "" : `\nVersion: ${facts.version}\n`;
  return `\n${commander.helpInformation().replace("\n", `\n${version}`)}${
    section("Environment variables", facts.variables.map((v) => [v.name, v.description]))
  }${section("Examples", facts.examples.map((e) => [e.name, e.text]))}`;
}

function hints({ settings, value }: OptionDefinition, types: HelpFacts["types"]): string {
  const type = value && types.get(value.type);
  const parts = [
    ...settings.required ? ["required"] : [],
    ...settings.default === undefined ? [] : [`Default: ${JSON.stringify(settings.default)}`],
    ...listed("Depends", settings.depends?.map((name) => `--${name}`)),
    ...listed("Conflicts", settings.conflicts?.map((name) => `--${name}`)),
    ...listed("Values", type instanceof EnumType ? type.values().map((x) => `"${x}"`) : []),
  ];
  return parts.length > 0 ? ` (${parts.join(", ")})` : "";
}

function listed(label: string, items: readonly string[] = []): string[] {
  return items.length > 0 ? [`${label}: ${items.join(", ")}`] : [];
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  if (rows.length === 0) return "";
  const width = Math.max(...rows.map(([head]) => head.length));
  return `\n${title}:\n${
    rows.map(([head, text]) => `  ${head.padEnd(width)}  ${text}\n`).join("")
  }`;
}
