import { RESTORING_DEFAULTS, type RestoringSettings } from "../training/restoring/settings.ts";
import { interruptible } from "./_interrupt.ts";
import { originOf } from "./_origin.ts";
import { note, write } from "./_output.ts";
import { openProgress } from "./_progress.ts";
import { type GivenFlag, settingFlags, trainCommandLine } from "./_train_command_line.ts";
import { softTokenCommand, softTokenSettings } from "./_training_command.ts";

/** `kvjudge train restore-kv`. */
export function restoreKvCommand(version: string) {
  const [least, most] = RESTORING_DEFAULTS.ratios;
  return softTokenCommand(RESTORING_DEFAULTS, { outIs: "Soft tokens that are made." })
    .description("Trains soft tokens that read the whole cache and stay for what a policy drops.")
    .option("-p, --policy <policy:string>", "Policy that chooses what stays besides them.", {
      default: "snapkv",
    })
    .option("--least <ratio:number>", "Smallest share of a prompt that stays.", { default: least })
    .option("--most <ratio:number>", "Largest share.", { default: most })
    .action(async (flags) => {
      const { trainRestoring } = await import("../training/restoring/train.ts");
      const { homeFolder } = await import("../runtime/models/home.ts");
      const { defaultThreads } = await import("../runtime/device/processor.ts");
      const { loadPolicy } = await import("../plugins/load_policy.ts");
      await using loaded = await loadPolicy(flags.policy);
      const { model, data, out, json } = flags;
      const common = softTokenSettings(flags);
      const settings: RestoringSettings = { ...common, ratios: [flags.least, flags.most] };
      const own: readonly GivenFlag[] = [
        ["policy", flags.policy],
        ["least", flags.least],
        ["most", flags.most],
      ];
      const command = trainCommandLine("restore-kv", flags, [...settingFlags(common), ...own]);
      await interruptible(async (signal) => {
        using progress = await openProgress();
        const result = await trainRestoring({
          ...{ model, data, out, settings, signal, policy: loaded.policy },
          threads: flags.threads ?? defaultThreads(),
          home: homeFolder(),
          origin: originOf(command, version),
          watch: {
            onFetch: progress.fetching,
            onNote: note,
            onStep: (step, steps, loss) =>
              progress.counting("training", step, steps, `loss ${loss.toPrecision(4)}`),
          },
        }).finally(() => progress.clear());
        const { before, after } = result.validation;
        const shown = `${result.steps} steps, held-out loss ${before.toPrecision(4)} to ` +
          `${after.toPrecision(4)}\nsoft tokens ${result.out}\n`;
        write(json ? `${JSON.stringify(result)}\n` : shown);
      });
    });
}
