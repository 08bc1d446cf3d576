import { loadPolicy } from "../../plugins/load_policy.ts";
import { BudgetError, PromptError } from "../../runtime/errors.ts";
import { parseBudget } from "../../runtime/evict/budget.ts";
import type { CachePrecision } from "../../runtime/cache/narrow_rows.ts";
import type { DeviceChoice } from "../../runtime/device/choose_device.ts";
import type { PrecisionChoice } from "../../runtime/weights/precisions.ts";
import type { WeightCopiesChoice } from "../../runtime/weights/weight_copies.ts";
import { checkCachePrecision } from "../../runtime/session/settings.ts";
import type { ModelSource, SchedulerOptions } from "../../server/scheduler/options.ts";
import { defined } from "../_defined.ts";
import { note } from "../_output.ts";
import { readInput } from "../_read_input.ts";

/** What the user said about the server. */
export interface ServeFlags {
  readonly model: readonly string[];
  readonly policy?: string | undefined;
  readonly reload?: boolean | undefined;
  readonly budget: string;
  readonly host: string;
  readonly port: number;
  readonly apiKey?: readonly string[] | undefined;
  readonly apiKeyFile?: string | undefined;
  readonly parallel: number;
  readonly cacheMemory: string;
  readonly cacheFolder?: string | undefined;
  readonly cacheFolderSize: string;
  readonly store?: string | undefined;
  readonly modelMemory?: string | undefined;
  readonly maxBody: string;
  readonly maxQueue: number;
  readonly timeout: number;
  readonly allowOrigin?: readonly string[] | undefined;
  readonly allowPolicy?: readonly string[] | undefined;
  readonly threads?: number | undefined;
  readonly precision: PrecisionChoice;
  readonly weightCopies: WeightCopiesChoice;
  readonly device: DeviceChoice;
  readonly cachePrecision: CachePrecision;
}

/** Where a key may stand that must not be seen in the list of processes. */
export const KEY_VARIABLE = "KVJUDGE_API_KEY";

/**
 * Reads the flags of the scheduler, before any model is loaded for them.
 *
 * @throws {OptionError} If there is no such policy or it refuses an option.
 * @throws {BudgetError} If the budget is out of range.
 * @throws {PromptError} If anything else is.
 */
export async function schedulerOptions(flags: ServeFlags): Promise<SchedulerOptions> {
  const {
    policy,
    reload = false,
    threads,
    precision,
    device,
    weightCopies,
    cacheFolder,
    modelMemory,
  } = flags;
  const { cachePrecision } = flags;
  checkCachePrecision(cachePrecision, { home: device === "cpu" ? "host" : "device" });
  const budget = parseBudget(flags.budget);
  if (policy !== undefined) await (await loadPolicy(policy, { reload }))[Symbol.asyncDispose]();
  return {
    models: modelSources(flags.model),
    load: { precision, device, weightCopies, ...defined({ threads }) },
    eviction: policy === undefined ? false : { policy, budget },
    parallel: atLeast(1, flags.parallel, "--parallel"),
    maxQueue: atLeast(0, flags.maxQueue, "--max-queue"),
    cachePrecision,
    cacheMemory: bytesOf(flags.cacheMemory, "--cache-memory"),
    folderBytes: bytesOf(flags.cacheFolderSize, "--cache-folder-size"),
    timeout: seconds(flags.timeout),
    now: () => Date.now(),
    log: note,
    ...defined({
      store: flags.store,
      cacheFolder,
      modelMemory: modelMemory === undefined ? undefined : bytesOf(modelMemory, "--model-memory"),
    }),
  };
}

/** `NAME=SOURCE`, or a source whose last part is the name. */
function modelSources(given: readonly string[]): readonly ModelSource[] {
  const models = given.map((text): ModelSource => {
    const [, name, renamed] = /^([\w.:-]+)=(.+)$/.exec(text) ?? [];
    const source = renamed ?? text;
    return { id: name ?? source.replace(/\/+$/, "").replace(/^.*\/|\.gguf$/gi, ""), source };
  });
  const twice = models.find(({ id }, at) => models.findIndex((other) => other.id === id) !== at);
  if (!twice) return models;
  throw new PromptError(
    `Cannot serve two models as '${twice.id}': give one another name, as in --model other=FOLDER`,
  );
}

/**
 * A number of bytes as people write it.
 *
 * @throws {PromptError} If it is none.
 */
export function bytesOf(text: string, flag: string): number {
  try {
    const amount = parseBudget(/^\d+$/.test(text.trim()) ? `${text}B` : text);
    if (typeof amount === "object" && "bytes" in amount) return amount.bytes;
  } catch (error) {
    if (!(error instanceof BudgetError)) throw error;
  }
  throw new PromptError(`Cannot use ${JSON.stringify(text)} for ${flag}: give bytes such as 2GiB`);
}

function atLeast(least: number, value: number, flag: string): number {
  if (value >= least) return value;
  throw new PromptError(`Cannot use ${value} for ${flag}: it must be at least ${least}`);
}

/**
 * A port, looked at before a model is loaded for it.
 *
 * @throws {PromptError} If it is none.
 */
export function portOf(value: number): number {
  if (value >= 0 && value <= 65_535) return value;
  throw new PromptError(`Cannot use ${value} for --port: give a port from 0 to 65535, 0 for any`);
}

/**
 * Origins as browsers write them: with a path or a slash behind it, none would ever match.
 *
 * @throws {PromptError} If one is none.
 */
export function originsOf(given: readonly string[] = []): readonly string[] {
  const wrong = given.find((origin) => !/^(\*|null|[a-z][a-z\d+.-]*:\/\/[^/\s]+)$/.test(origin));
  if (wrong === undefined) return given;
  throw new PromptError(
    `Cannot use ${JSON.stringify(wrong)} for --allow-origin: give an origin such as ` +
      "https://chat.example, without a path, or * for all",
  );
}

function seconds(value: number): number {
  if (value > 0 && value <= 86_400) return value * 1000;
  throw new PromptError(
    `Cannot use ${value} for --timeout: give seconds above 0 and at most 86400`,
  );
}

/**
 * Keys of the flags, the file and the environment.
 *
 * @throws {PromptError} If the file has none.
 */
export async function apiKeysOf({ apiKey = [], apiKeyFile }: ServeFlags): Promise<string[]> {
  const inFile = apiKeyFile === undefined
    ? []
    : lines(await readInput(apiKeyFile, "the file of API keys"));
  if (apiKeyFile !== undefined && inFile.length === 0) {
    throw new PromptError(`Cannot use ${apiKeyFile}: it has no key; write one a line`);
  }
  const keys = [...apiKey, Deno.env.get(KEY_VARIABLE) ?? ""].flatMap(lines);
  return [...keys, ...inFile];
}

function lines(text: string): string[] {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
}
