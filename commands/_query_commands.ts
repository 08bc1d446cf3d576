import { calibrationCommand, runCalibration } from "./_calibration_command.ts";

/** Texts that are read: queries of a few thousand tokens say where all lie. */
const READ = { samples: 32, responseTokens: 48 };

/** `kvjudge train q-filters`. */
export function qFiltersCommand(version: string) {
  return calibrationCommand(READ)
    .description("Measures where each head's queries point.")
    .action(async (flags) => {
      const { qFiltersCalibration } = await import("../training/calibration/q_filters.ts");
      await runCalibration("q-filters", flags, version, [], qFiltersCalibration);
    });
}

/** `kvjudge train tri-attention`. */
export function triAttentionCommand(version: string) {
  return calibrationCommand(READ)
    .description("Measures the centres of each head's queries before they are rotated.")
    .action(async (flags) => {
      const { triAttentionCalibration } = await import("../training/calibration/tri_attention.ts");
      await runCalibration("tri-attention", flags, version, [], triAttentionCalibration);
    });
}
