import type { Calibration, CalibrationResult } from "../training/calibration/calibrate.ts";
import { DEFAULT_SETTINGS } from "../training/settings.ts";
import { interruptible } from "./_interrupt.ts";
import { originOf } from "./_origin.ts";
import { note, write } from "./_output.ts";
import { openProgress } from "./_progress.ts";
import { type GivenFlag, trainCommandLine } from "./_train_command_line.ts";
import { trainingCommand } from "./_training_command.ts";

/** What such a subcommand of `kvjudge train` measures by default. */
export interface CalibrationDefaults {
  readonly samples: number;
  readonly responseTokens: number;
}

/** A command with the flags of all that measure a model once for a policy. */
export function calibrationCommand(defaults: CalibrationDefaults) {
  const { maxPromptTokens, seed } = DEFAULT_SETTINGS;
  return trainingCommand({
    ...{ ...defaults, maxPromptTokens, seed },
    samplesAre: "Prompts to measure.",
    outIs: "File that is made.",
  });
}

/** What the user said. */
export interface CalibrationFlags {
  readonly model: string;
  readonly threads?: number | undefined;
  readonly data: string;
  readonly out: string;
  readonly samples: number;
  readonly maxPromptTokens: number;
  readonly responseTokens: number;
  readonly seed: number;
  readonly json?: true | undefined;
}

/**
 * Measures a model, and says what was made.
 *
 * @param name Name of the subcommand.
 * @param own Flags of this subcommand alone, as they stand in the card.
 */
export async function runCalibration(
  name: string,
  flags: CalibrationFlags,
  version: string,
  own: readonly GivenFlag[],
  calibration: Calibration,
): Promise<void> {
  const { calibrate } = await import("../training/calibration/calibrate.ts");
  const { homeFolder } = await import("../runtime/models/home.ts");
  const { defaultThreads } = await import("../runtime/device/processor.ts");
  const { model, data, out, samples, maxPromptTokens, responseTokens, seed } = flags;
  const settings = { samples, maxPromptTokens, responseTokens, seed };
  const command = trainCommandLine(name, flags, [
    ["samples", samples],
    ["max-prompt-tokens", maxPromptTokens],
    ["response-tokens", responseTokens],
    ["seed", seed],
    ...own,
  ]);
  await interruptible(async (signal) => {
    using progress = await openProgress();
    const result = await calibrate({
      ...{ model, data, out, settings, signal },
      threads: flags.threads ?? defaultThreads(),
      home: homeFolder(),
      origin: originOf(command, version),
      watch: {
        onFetch: progress.fetching,
        onNote: note,
        onPrompt: (done, total) => progress.counting("measuring", done, total),
      },
    }, calibration).finally(() => progress.clear());
    write(flags.json ? `${JSON.stringify(result)}\n` : show(result));
  });
}

function show({ out, prompts, card }: CalibrationResult): string {
  const { model: _model, data_hash: _hash, prompts: _prompts, created: _created, ...facts } = card;
  const { version: _version, command: _command, ...found } = facts;
  const lines = Object.entries(found).map(([name, value]) => `${name} ${value}\n`);
  return `measured with ${prompts} prompts\n${lines.join("")}made ${out}\n`;
}
