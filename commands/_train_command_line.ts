import { portableName } from "../training/portable_name.ts";
import type { SoftTokenSettings } from "../training/soft_token_settings.ts";

/** Files of a training as the user gave them. */
export interface TrainingFiles {
  readonly model: string;
  readonly data: string;
  readonly out: string;
}

/** A flag without its dashes, and its value. */
export type GivenFlag = readonly [flag: string, value: string | number];

/**
 * The command line that makes a file again, for its card.
 *
 * @param name Subcommand of `kvjudge train`.
 * @param flags Those besides model, data and file.
 */
export function trainCommandLine(
  name: string,
  { model, data, out }: TrainingFiles,
  flags: readonly GivenFlag[],
): string {
  const files: readonly GivenFlag[] = [
    ["model", portableName(model)],
    ["data", portableName(data)],
    ["out", portableName(out)],
  ];
  return [
    `kvjudge train ${name}`,
    ...[...files, ...flags].map(([flag, value]) => `--${flag} ${quoted(`${value}`)}`),
  ].join(" ");
}

/** Settings of soft tokens as flags, those of one subcommand too where they are named alike. */
export function settingFlags({ rate, initial, ...others }: SoftTokenSettings): GivenFlag[] {
  const dashed = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return [
    ...Object.entries(others).map(([name, value]): GivenFlag => [dashed(name), value]),
    ["lr", rate],
    ["init", portableName(initial)],
  ];
}

/** A word as a shell reads it. */
function quoted(word: string): string {
  return /^[\w./:@~+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
