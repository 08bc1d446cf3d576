import { EnumType } from "@cliffy/command";
import type { Model } from "../runtime/model.ts";
import { DEVICE_CHOICES, type DeviceChoice } from "../runtime/device/choose_device.ts";
import { type PrecisionChoice, PRECISIONS } from "../runtime/weights/precisions.ts";
import { WEIGHT_COPIES, type WeightCopiesChoice } from "../runtime/weights/weight_copies.ts";
import { defined } from "./_defined.ts";
import { interruptible } from "./_interrupt.ts";
import { note } from "./_output.ts";
import { openProgress, type Progress } from "./_progress.ts";
import { bareCommand } from "./_subcommand.ts";

/** A command with the flags of every command that loads a model, training too. */
export function modelCommand() {
  return bareCommand()
    .option("-m, --model <model:string>", "Name, folder, .gguf file, or owner/name on the hub.", {
      default: "smollm2-135m-instruct",
    })
    .option("--threads <count:integer>", "Threads; one per processor if absent.");
}

/**
 * A command with the flags of every command that runs a model and evicts. A flag about loading goes
 * here, into {@linkcode ModelFlags} and to {@linkcode openModel}.
 */
export function evictingCommand() {
  return modelCommand()
    .type("precision", new EnumType(PRECISIONS))
    .type("device", new EnumType(DEVICE_CHOICES))
    .type("copies", new EnumType(WEIGHT_COPIES))
    .option("--precision <precision:precision>", "How weights are held.", {
      default: "auto" as const,
    })
    .option("--weight-copies <copies:copies>", "How often weights lie in main memory.", {
      default: "auto" as const,
    })
    .option("--device <device:device>", "Where the model runs and its KV cache lives.", {
      default: "cpu" as const,
    })
    .option("--chunk <tokens:integer>", "Prompt tokens read at a time.")
    .option(
      "--allow-control-tokens",
      "Read control tokens such as <|im_end|> in messages and documents as such, not as text.",
    )
    .option("--trust", "Run policies from URLs without a sandbox, with every permission.")
    .option("--reload", "Fetch policies from URLs again; Deno keeps what it fetched.");
}

/** What the user said about the model. */
export interface ModelFlags {
  readonly model: string;
  readonly threads?: number | undefined;
  readonly precision: PrecisionChoice;
  readonly device: DeviceChoice;
  readonly weightCopies?: WeightCopiesChoice | undefined;
  readonly allowControlTokens?: boolean | undefined;
}

/** Loads the model; native code is loaded here and not before. */
export async function openModel(
  { model, threads, precision, device, weightCopies, allowControlTokens }: ModelFlags,
  progress: Progress,
  signal: AbortSignal,
): Promise<Model> {
  const { loadModel } = await import("../runtime/model.ts");
  const options = {
    ...defined({ threads, weightCopies, allowControlTokens }),
    precision,
    device,
    signal,
  };
  const loaded = await loadModel(model, { ...options, onProgress: progress.fetching });
  progress.clear();
  const { provider, adapter, why } = loaded.device;
  const where = adapter === undefined ? provider : `${provider} (${adapter})`;
  if (device === "auto") note(`running on ${where}: ${why}`);
  else if (provider !== "cpu") note(`running on ${where}`);
  return loaded;
}

/** What work with a model is given. */
export interface ModelWork {
  readonly model: Model;
  readonly progress: Progress;
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal;
}

/**
 * Loads a model, works with it and closes it; Ctrl-C stops the work.
 *
 * @throws {Interrupted} Where Ctrl-C was pressed, whatever the work then did.
 */
export async function withModel(
  flags: ModelFlags,
  work: (given: ModelWork) => Promise<void>,
): Promise<void> {
  await interruptible(async (signal) => {
    using progress = await openProgress();
    await using model = await openModel(flags, progress, signal);
    await work({ model, progress, signal });
  });
}
