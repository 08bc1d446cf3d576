import { EnumType } from "@cliffy/command";
import { portableName } from "../training/portable_name.ts";
import { RESTORING_DEFAULTS, type RestoringSettings } from "../training/restoring/settings.ts";
import { interruptible } from "./_interrupt.ts";
import { modelCommand } from "./_model_command.ts";
import { originOf } from "./_origin.ts";
import { note, write } from "./_output.ts";
import { openProgress } from "./_progress.ts";
import { quoted } from "./_train_command_line.ts";

/** `kvjudge train restore-kv`. */
export function restoreKvCommand(version: string) {
  const defaults = RESTORING_DEFAULTS;
  const [least, most] = defaults.ratios;
  return modelCommand()
    .description("Trains soft tokens that read the whole cache and stay for what a policy drops.")
    .type("responses", new EnumType(["self", "original"] as const))
    .option("-d, --data <file:string>", "Conversations: ShareGPT, OpenAI, JSONL or text.", {
      required: true,
    })
    .option("-o, --out <file:string>", "Soft tokens that are made.", { required: true })
    .option("-p, --policy <policy:string>", "Policy that chooses what stays besides them.", {
      default: "snapkv",
    })
    .option("--tokens <count:integer>", "Soft tokens to train.", { default: defaults.tokens })
    .option("--samples <count:integer>", "Examples to train on.", { default: defaults.samples })
    .option("--epochs <count:integer>", "How often each example is visited.", {
      default: defaults.epochs,
    })
    .option("--batch <count:integer>", "Examples of one step.", { default: defaults.batch })
    .option("--lr <rate:number>", "Highest learning rate.", { default: defaults.rate })
    .option("--warmup <share:number>", "Share of the steps in which the rate rises.", {
      default: defaults.warmup,
    })
    .option("--clip <norm:number>", "Largest norm of a gradient.", { default: defaults.clip })
    .option("--least <ratio:number>", "Smallest share of a prompt that stays.", { default: least })
    .option("--most <ratio:number>", "Largest share.", { default: most })
    .option("--responses <whose:responses>", "The model's own answers, or the data's.", {
      default: defaults.responses,
    })
    .option("--response-tokens <count:integer>", "Most tokens of an answer.", {
      default: defaults.responseTokens,
    })
    .option("--max-prompt-tokens <count:integer>", "Longer prompts are left out.", {
      default: defaults.maxPromptTokens,
    })
    .option("--init <from:string>", "Start: random, words, or a file of soft tokens.", {
      default: defaults.initial,
    })
    .option("--seed <seed:integer>", "Seed of every random choice.", { default: defaults.seed })
    .option("--validate <count:integer>", "Examples held out.", { default: defaults.validate })
    .option("--json", "Print one JSON object at the end.")
    .action(async (flags) => {
      const { trainRestoring } = await import("../training/restoring/train.ts");
      const { homeFolder } = await import("../runtime/models/home.ts");
      const { defaultThreads } = await import("../runtime/device/processor.ts");
      const { loadPolicy } = await import("../plugins/load_policy.ts");
      await using loaded = await loadPolicy(flags.policy);
      const { model, data, out, json } = flags;
      const { tokens, samples, epochs, batch, warmup, clip, responses, seed, validate } = flags;
      const { responseTokens, maxPromptTokens } = flags;
      const settings: RestoringSettings = {
        ...{ tokens, samples, epochs, batch, warmup, clip, responses, seed, validate },
        ...{ responseTokens, maxPromptTokens, rate: flags.lr, initial: flags.init },
        ratios: [flags.least, flags.most],
      };
      const file = (path: string) => quoted(portableName(path));
      const command = [
        `kvjudge train restore-kv --model ${file(model)} --data ${file(data)} --out ${file(out)}`,
        `--policy ${
          quoted(flags.policy)
        } --tokens ${tokens} --samples ${samples} --epochs ${epochs}`,
        `--batch ${batch} --lr ${flags.lr} --warmup ${warmup} --clip ${clip} --least ${flags.least}`,
        `--most ${flags.most} --responses ${responses} --response-tokens ${responseTokens}`,
        `--max-prompt-tokens ${maxPromptTokens} --init ${file(flags.init)} --seed ${seed}`,
        `--validate ${validate}`,
      ].join(" ");
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
