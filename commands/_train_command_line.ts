import { portableName } from "../training/portable_name.ts";
import type { TrainingSettings } from "../training/settings.ts";

/** Files of a training as the user gave them. */
export interface TrainingFiles {
  readonly model: string;
  readonly data: string;
  readonly out: string;
}

/**
 * The settings as flags, so that a card tells how to make its tokens again.
 *
 * @param name Subcommand of `kvjudge train`.
 */
export function trainCommandLine(
  name: string,
  { model, data, out }: TrainingFiles,
  { adapters, rate, initial, ...others }: TrainingSettings,
): string {
  const dashed = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const file = (path: string) => quoted(portableName(path));
  return [
    `kvjudge train ${name} --model ${file(model)} --data ${file(data)} --out ${file(out)}`,
    ...Object.entries(others).map(([name, value]) => `--${dashed(name)} ${value}`),
    `--lr ${rate} --init ${file(initial)}`,
    ...(adapters
      ? [
        `--rank ${adapters.rank} --projections ${adapters.projections.join(",")}`,
        `--adapter-lr ${adapters.rate}`,
      ]
      : []),
  ].join(" ");
}

/** A word as a shell reads it. */
export function quoted(word: string): string {
  return /^[\w./:@~+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
