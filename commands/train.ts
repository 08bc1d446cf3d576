import { EnumType, ValidationError } from "@cliffy/command";
import type { TrainingResult } from "../training/result.ts";
import {
  type AdapterSettings,
  DEFAULT_SETTINGS,
  type TrainingSettings,
} from "../training/settings.ts";
import { interruptible } from "./_interrupt.ts";
import { originOf } from "./_origin.ts";
import { note, write } from "./_output.ts";
import { openProgress } from "./_progress.ts";
import { duoAttentionCommand, kvZapCommand, luKvCommand } from "./_measuring_commands.ts";
import { qFiltersCommand, triAttentionCommand } from "./_query_commands.ts";
import { openNamedStore, QUEUE_WORDS } from "./_queue.ts";
import { restoreKvCommand } from "./_restoring_command.ts";
import { bareCommand, type Subcommand } from "./_subcommand.ts";
import { readTargetsBy } from "./_train_queue.ts";
import { type GivenFlag, settingFlags, trainCommandLine } from "./_train_command_line.ts";
import { softTokenCommand, softTokenSettings } from "./_training_command.ts";
import { trainView } from "./_train_view.ts";

/** `kvjudge train`: trains what judges. */
export function trainCommand(version: string): Subcommand {
  const command = bareCommand();
  command
    .name("kvjudge train")
    .description("Trains what policies judge with, or measures it, for a model.")
    .action(() => command.showHelp());
  command.command("judge-q", judgeCommand(version, false));
  command.command("lookahead-kv", judgeCommand(version, true));
  command.command("lu-kv", luKvCommand(version));
  command.command("duo-attention", duoAttentionCommand(version));
  command.command("kvzap", kvZapCommand(version));
  command.command("q-filters", qFiltersCommand(version));
  command.command("tri-attention", triAttentionCommand(version));
  command.command("restore-kv", restoreKvCommand(version));
  return command;
}

const TARGETS = ["mean", "max", "top", "segments", "reconstruct"] as const;

function judgeCommand(version: string, adapted: boolean) {
  const defaults = DEFAULT_SETTINGS;
  const name = adapted ? "lookahead-kv" : "judge-q";
  // The other subcommand knows them only to say that they are not for it.
  const own = { hidden: !adapted };
  return softTokenCommand(defaults, {
    outIs: "Soft tokens that are made; log and figure lie beside.",
  })
    .description(
      adapted
        ? "Trains soft tokens and low-rank weights that act on them alone."
        : "Trains the embeddings of soft tokens; the model stays as it is.",
    )
    .type("loss", new EnumType(["mse", "kl"] as const))
    .type("target", new EnumType(TARGETS))
    .type("normalise", new EnumType(["heads", "all"] as const))
    .type("average", new EnumType(["heads", "groups", "max"] as const))
    .type("weights", new EnumType(["uniform", "rising", "falling"] as const))
    .option("--loss <loss:loss>", "Compare maps by squared error, or as distributions.", {
      default: defaults.loss,
    })
    .option(
      "--target <map:target>",
      "What to attend to: an answer's queries' mean, max, top " +
        "four or segments; or the text repeated (reconstruct).",
      {
        default: defaults.target,
      },
    )
    .option("--average <of:average>", "Compare heads, or of each group the mean or the max.", {
      default: defaults.average,
    })
    .option("--normalise <over:normalise>", "Maps of kl: each head's for itself, or all as one.", {
      default: defaults.normalise,
    })
    .option("--leave-first <count:integer>", "First tokens that are not compared.", {
      default: defaults.leaveFirst,
    })
    .option("--leave-last <count:integer>", "Last tokens that are not compared.", {
      default: defaults.leaveLast,
    })
    .option("--layer-weights <weights:weights>", "Weights of the layers in the loss.", {
      default: defaults.layerWeights,
    })
    .option("--code-share <share:number>", "Share of the examples that is code.", {
      default: defaults.codeShare,
    })
    .option("--validate-every <steps:integer>", "Steps between validations.", { default: 100 })
    .option("--save-every <steps:integer>", "Steps between savings.", { default: 25 })
    .option("--rank <rank:integer>", "Rank of the adapters; 4 if absent.", own)
    .option("--projections <list:string>", "Products with adapters; q,k,v,o if absent.", own)
    .option("--adapter-lr <rate:number>", "Their highest learning rate; 0.001 if absent.", own)
    .option("--targets <folder:string>", "Folder of targets, to share between runs.")
    .option("--queue <url:string>", QUEUE_WORDS.queue, { depends: ["store"] })
    .option("--queue-password-file <file:string>", QUEUE_WORDS.passwordFile)
    .option("--queue-ca <file:string>", QUEUE_WORDS.authority)
    .option("--queue-wait <seconds:number>", QUEUE_WORDS.wait, { default: 300 })
    .option("--store <url:string>", QUEUE_WORDS.store, { depends: ["queue"] })
    .option("--recompute", "Make keys and values again at each visit: slower, no disk.")
    .option("--resume", "Go on with an interrupted run.")
    .action(async (flags) => {
      const { trainWith } = await import("../training/train.ts");
      const { homeFolder } = await import("../runtime/models/home.ts");
      const { defaultThreads } = await import("../runtime/device/processor.ts");
      const adapters = adapted ? await readAdapters(flags) : refuseAdapterFlags(flags);
      const { loss, target, average, normalise, leaveFirst, leaveLast, layerWeights } = flags;
      const plain = {
        ...softTokenSettings(flags),
        ...{ loss, target, average, normalise, leaveFirst, leaveLast, layerWeights },
        codeShare: flags.codeShare,
      };
      const settings: TrainingSettings = { ...plain, ...(adapters ? { adapters } : {}) };
      const command = trainCommandLine(name, flags, [
        ...settingFlags(plain),
        ...adapterFlags(adapters),
      ]);
      await interruptible(async (signal) => {
        using progress = await openProgress();
        using store = await openNamedStore(flags.store);
        const now = () => performance.now();
        const { saved, ...watch } = trainView({ progress, note, now });
        const targetsBy = await readTargetsBy(flags, {
          ...{ store, version, now },
          onNote: watch.onNote,
        });
        const training = trainWith({
          model: flags.model,
          data: flags.data,
          out: flags.out,
          settings,
          ...(flags.targets === undefined ? {} : { targets: flags.targets }),
          recompute: flags.recompute ?? false,
          resume: flags.resume ?? false,
          saveEvery: flags.saveEvery,
          validateEvery: flags.validateEvery,
          threads: flags.threads ?? defaultThreads(),
          home: homeFolder(),
          origin: originOf(command, version),
          now,
          signal,
          watch,
        }, targetsBy);
        const result = await training.catch((error) => {
          progress.clear();
          if (signal.aborted && saved() !== undefined) {
            const place = saved() === 0 ? "before the first step" : `after step ${saved()}`;
            note(`stopped ${place}; the same command with --resume goes on`);
          }
          throw error;
        });
        progress.clear();
        write(flags.json ? `${JSON.stringify(result)}\n` : show(result));
      });
    });
}

interface AdapterFlags {
  readonly rank?: number | undefined;
  readonly projections?: string | undefined;
  readonly adapterLr?: number | undefined;
}

async function readAdapters(
  { rank = 4, projections = "q,k,v,o", adapterLr = 0.001 }: AdapterFlags,
): Promise<AdapterSettings> {
  // Imported late: its neighbours load native code, which `--help` has no use for.
  const { PROJECTIONS } = await import("../kernels/adapters.ts");
  const listed = projections.split(",").map((text) => {
    const found = PROJECTIONS.find((name) => name === text.trim());
    if (found) return found;
    throw new ValidationError(
      `Option "--projections" must list some of ${PROJECTIONS.join(", ")}, got "${text}".`,
    );
  });
  return { rank, projections: listed, rate: adapterLr };
}

function adapterFlags(adapters: AdapterSettings | undefined): readonly GivenFlag[] {
  if (!adapters) return [];
  const { rank, projections, rate } = adapters;
  return [["rank", rank], ["projections", projections.join()], ["adapter-lr", rate]];
}

/** Without adapters, their flags would be ignored; a user who gives them expects otherwise. */
function refuseAdapterFlags({ rank, projections, adapterLr }: AdapterFlags): undefined {
  const given = Object.entries({ rank, projections, "adapter-lr": adapterLr })
    .find(([, value]) => value !== undefined);
  if (!given) return undefined;
  throw new ValidationError(
    `Option "--${given[0]}" is for adapters, which only kvjudge train lookahead-kv has.`,
  );
}

function show({ paths, steps, lossStart, lossEnd }: TrainingResult): string {
  return `${steps} steps, loss ${lossStart.toPrecision(4)} to ${lossEnd.toPrecision(4)}\n` +
    `soft tokens ${paths.out}\nlog ${paths.log}\ncurves ${paths.figure}\n`;
}
