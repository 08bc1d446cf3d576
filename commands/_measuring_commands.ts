import { ValidationError } from "@cliffy/command";
import { calibrationCommand, runCalibration } from "./_calibration_command.ts";

/** `kvjudge train lu-kv`. */
export function luKvCommand(version: string) {
  return calibrationCommand({ samples: 64, responseTokens: 48 })
    .description("Measures which KV heads need how much of a budget.")
    .option("-p, --policy <policy:string>", "Policy whose scores rank a head's tokens.", {
      default: "snapkv",
    })
    .action(async (flags) => {
      const { luKvCalibration } = await import("../training/calibration/lu_kv.ts");
      const { loadPolicy } = await import("../plugins/load_policy.ts");
      await using loaded = await loadPolicy(flags.policy);
      const { policy } = loaded;
      if (!("score" in policy)) {
        throw new ValidationError(
          `Option "--policy" must be a policy that scores, got "${flags.policy}".`,
        );
      }
      const calibration = luKvCalibration(policy);
      await runCalibration("lu-kv", flags, version, [["policy", flags.policy]], calibration);
    });
}

/** `kvjudge train duo-attention`. */
export function duoAttentionCommand(version: string) {
  return calibrationCommand({ samples: 64, responseTokens: 48 })
    .description("Measures which KV heads look far back.")
    .option("--sinks <tokens:integer>", "First tokens that a streaming head keeps.", {
      default: 16,
    })
    .option("--recent <tokens:integer>", "Last tokens that it keeps.", { default: 64 })
    .action(async (flags) => {
      const { duoAttentionCalibration } = await import("../training/calibration/duo_attention.ts");
      const { sinks, recent } = flags;
      const own = [["sinks", sinks], ["recent", recent]] as const;
      const calibration = duoAttentionCalibration({ sinks, recent });
      await runCalibration("duo-attention", flags, version, own, calibration);
    });
}

/** `kvjudge train kvzap`. */
export function kvZapCommand(version: string) {
  return calibrationCommand({ samples: 128, responseTokens: 48 })
    .description("Fits networks that predict the scores of kvzip_plus as tokens are read.")
    .action(async (flags) => {
      const { kvZapCalibration } = await import("../training/calibration/kvzap.ts");
      await runCalibration("kvzap", flags, version, [], kvZapCalibration());
    });
}
