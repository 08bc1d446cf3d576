import type { OptionSettings } from "./inference.ts";

/** An option as it was declared. */
export interface OptionDefinition {
  /** Without dashes, in kebab case. */
  readonly name: string;
  /** All spellings, with dashes. */
  readonly flags: string[];
  readonly property: string;
  /** Absent: the option takes no value. */
  readonly value?: ArgumentDefinition;
  readonly description: string;
  readonly settings: OptionSettings<unknown, boolean, boolean>;
}

/** An argument as it was declared. */
export interface ArgumentDefinition {
  readonly name: string;
  readonly type: string;
  readonly optional: boolean;
  readonly variadic: boolean;
}

/** Reads `-m, --model <name:string>`. */
export function readOption(
  flags: string,
  description: string,
  settings: OptionSettings<unknown, boolean, boolean> = {},
): OptionDefinition {
  const words = flags.split(/[ ,]+/);
  const spellings = words.filter((word) => word.startsWith("-"));
  const name = (spellings.find((word) => word.startsWith("--")) ?? spellings[0] ?? flags)
    .replace(/^-+/, "");
  const [value] = readArguments(words.filter((word) => !word.startsWith("-")).join(" "));
  return {
    name,
    flags: spellings,
    property: name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    ...(value ? { value } : {}),
    description,
    settings,
  };
}

/** Reads `<file:string> [...rest:integer]`. */
export function readArguments(definition: string): ArgumentDefinition[] {
  return definition.split(/ +/).filter((word) => word !== "").map((word) => {
    const body = word.slice(1, -1);
    const variadic = body.startsWith("...");
    const [name = "", type = "string"] = body.slice(variadic ? 3 : 0).split(":");
    return { name, type, optional: word.startsWith("["), variadic };
  });
}

/** `<file> [...rest]`, as the help shows it. */
export function showArguments(definitions: readonly ArgumentDefinition[]): string {
  return definitions.map(({ name, optional, variadic }) => {
    const text = `${name}${variadic ? "..." : ""}`;
    return optional ? `[${text}]` : `<${text}>`;
  }).join(" ");
}
