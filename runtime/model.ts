import { MAX_SEQUENCES } from "../kernels/sequence_attention.ts";
import type { ModelFacts } from "../policies/policy.ts";
import type { ModelConfig } from "./checkpoint/checkpoint.ts";
import { openCheckpoint } from "./checkpoint/open.ts";
import { readRows } from "./checkpoint/read_rows.ts";
import { tensorOf } from "./checkpoint/tensor_of.ts";
import type { Engine } from "./engine/engine.ts";
import type { HostEngine } from "./engine/host/host_engine.ts";
import { openEngine } from "./open_engine.ts";
import { chooseDevice, type ChosenDevice, type DeviceChoice } from "./device/choose_device.ts";
import { KvjudgeError } from "./errors.ts";
import { demandOptions, demandText, type OptionKinds } from "./given.ts";
import type { FetchProgress } from "./models/fetch_context.ts";
import { modelFacts } from "./models/facts.ts";
import { homeFolder } from "./models/home.ts";
import { markInUse } from "./models/model_use.ts";
import { resolveModel } from "./models/resolve_model.ts";
import {
  type Constraint,
  type ConstraintCompiler,
  type ConstraintSpec,
  createConstraintCompiler,
} from "./sampling/constraint.ts";
import { defaultThreads, MAX_THREADS } from "./device/processor.ts";
import { createSession } from "./session/open.ts";
import type { Session, SessionOptions } from "./session/session.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";
import { tokenizerOf } from "./tokenizer/tokenizer_of.ts";
import { settlePrecision } from "./weights/precision.ts";
import type { Precision, PrecisionChoice } from "./weights/precisions.ts";
import { checkCopies, type WeightCopiesChoice } from "./weights/weight_copies.ts";
import { stepModel } from "./weights/step_model.ts";

/** How a model is loaded. */
export interface LoadOptions {
  /** How weights are held. @default {"auto"} */
  readonly precision?: PrecisionChoice;
  /**
   * Where it runs and the KV cache lives: `"webgpu"`, `"cuda"`, or `"auto"` for the best that works.
   *
   * @default {"cpu"}
   */
  readonly device?: DeviceChoice;
  /** Threads, up to 1024. @default {one per processor} */
  readonly threads?: number;
  /**
   * Sequences that one decoding step may advance together, up to 16, in main memory. Each makes loading
   * slower. @default {1}
   */
  readonly sequences?: number;
  /**
   * How often weights lie in main memory: `"one"` saves memory, `"two"` reads prompts up to half as fast
   * again, `"auto"` is one for models whose weights take more than 512 MB.
   *
   * @default {"auto"}
   */
  readonly weightCopies?: WeightCopiesChoice;
  /** Folder for models and converted weights. @default {KVJUDGE_HOME, or the system's cache folder} */
  readonly home?: string;
  /**
   * Control tokens such as `<|im_end|>` in messages, documents and raw text become their ids, instead
   * of being read as text. Only for texts of one's own: they can end a turn and forge the next.
   *
   * @default {false}
   */
  readonly allowControlTokens?: boolean;
  /** Gets the progress of a download. */
  readonly onProgress?: (progress: FetchProgress) => void;
  /** Ends a download early. */
  readonly signal?: AbortSignal;
  /** Milliseconds since some moment. @default {performance.now} */
  readonly now?: () => number;
}

/** A model in memory. Owns it; close its sessions first. */
export interface Model<Runs extends Engine = Engine> extends AsyncDisposable {
  /** As given to {@linkcode loadModel}. */
  readonly name: string;
  /** Its sizes and settings. */
  readonly config: ModelConfig;
  /** Turns text into ids and back. */
  readonly tokenizer: Tokenizer;
  /** How its weights are held. */
  readonly precision: Precision;
  /** Where it runs, and why there. */
  readonly device: ChosenDevice;
  /** Runs steps by hand: for training, evaluation and experiments. */
  readonly engine: Runs;
  /** SHA-256 of the checkpoint, hexadecimal. */
  fingerprint(): Promise<string>;
  /** What a policy gets to know about the model. */
  facts(): Promise<ModelFacts>;
  /** Opens a session: one cache, read and answered from. */
  session(options?: SessionOptions): Session;
  /**
   * What one answer is to be, for `session.generate({ constraint })`: JSON of a schema, a pattern, a
   * choice. The first one sorts the vocabulary, which takes half a second or a few.
   *
   * @throws {ConstraintError} If nothing fits it, or it asks for what cannot be enforced.
   */
  constraint(spec: ConstraintSpec): Constraint;
  /**
   * As {@linkcode Model.constraint}, in slices of a few milliseconds.
   *
   * @param pause Is called between them.
   * @throws {ConstraintError} As `constraint`.
   */
  prepareConstraint(spec: ConstraintSpec, pause: () => Promise<void>): Promise<Constraint>;
}

/**
 * Loads a model, fetching it first where needed.
 *
 * @param source A name (`smollm2-135m-instruct`), a folder, a `.gguf` file, or `owner/name` on the
 * Hugging Face hub.
 * @throws {FetchError} If the model cannot be found or fetched.
 * @throws {CheckpointError} If it is damaged or not supported.
 * @throws {DeviceError} If the device that was asked for does not work, or cannot hold the model.
 *
 * @example
 * ```ts
 * import { loadModel } from "./model.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = new URL("../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * await using model = await loadModel(folder, { precision: "fp32" });
 * assertEquals(model.config.layers, 3);
 * ```
 */
export async function loadModel(
  source: string,
  options?: LoadOptions & { readonly device?: "cpu" },
): Promise<Model<HostEngine>>;
/**
 * Loads a model on a device.
 *
 * @throws {DeviceError} If the device does not work, or cannot hold the model.
 *
 * @example
 * ```ts
 * import { loadModel } from "./model.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = new URL("../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * await using model = await loadModel(folder, { device: "cpu" });
 * assertEquals(model.device.why, "it was asked for");
 * ```
 */
export async function loadModel(source: string, options: LoadOptions): Promise<Model>;
export async function loadModel(source: string, options: LoadOptions = {}): Promise<Model> {
  demandText(
    "load a model",
    "what is loaded",
    source,
    "a name, a folder, a .gguf file or owner/name",
  );
  demandOptions<LoadOptions>("load a model", options, LOAD_OPTIONS);
  const {
    home = homeFolder(),
    threads = defaultThreads(),
    sequences = 1,
    now = () => performance.now(),
    precision: choice = "auto",
    allowControlTokens = false,
    weightCopies = "auto",
  } = options;
  checkCopies(weightCopies);
  checkCount("threads", threads, MAX_THREADS);
  checkCount("sequences", sequences, MAX_SEQUENCES);
  const device = await chooseDevice(options.device ?? "cpu");
  const path = await resolveModel(source, {
    home,
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
  });
  await using loading = new AsyncDisposableStack();
  loading.use(markInUse(home, path));
  const checkpoint = await openCheckpoint(path, { home });
  const tokenizer = tokenizerOf(checkpoint, { allowControlTokens });
  const precision = settlePrecision(checkpoint, choice);
  const described = await stepModel(checkpoint, {
    precision,
    home,
  });
  const { config } = checkpoint;
  const opened = loading.use(
    await openEngine(device, described, {
      config,
      threads,
      sequences,
      weightCopies,
      readOutput: (layer) =>
        readRows(tensorOf(checkpoint, checkpoint.family.layer.attentionOutput, layer)),
    }),
  );
  const held = loading.move();
  let closed = false;
  const checkOpen = () => {
    if (closed) throw new KvjudgeError("Cannot run the model: it is closed; load it again");
  };
  const whileOpen =
    <Step extends readonly unknown[], Result>(run: (...step: Step) => Promise<Result>) =>
    async (...step: Step): Promise<Result> => {
      checkOpen();
      return await run(...step);
    };
  const { advance, probe, together } = opened.engine;
  const engine: Engine = {
    ...opened.engine,
    advance: whileOpen(advance),
    probe: whileOpen(probe),
    ...(together ? { together: whileOpen(together) } : {}),
  };
  let facts: Promise<ModelFacts> | undefined;
  let constraints: ConstraintCompiler | undefined;
  const compiler = () =>
    constraints ??= createConstraintCompiler(tokenizer, [...config.eosIds, ...tokenizer.eosIds]);
  const model: Model = {
    name: source,
    config,
    tokenizer,
    precision,
    device,
    engine,
    fingerprint: () => checkpoint.fingerprint(),
    facts: () => facts ??= modelFacts(checkpoint, tokenizer),
    session(sessionOptions = {}) {
      checkOpen();
      return createSession(
        { engine, tokenizer, facts: model.facts, now, name: source },
        sessionOptions,
      );
    },
    constraint: (spec) => compiler().compile(spec),
    prepareConstraint: async (spec, pause) => await compiler().prepare(spec, pause),
    async [Symbol.asyncDispose]() {
      if (closed) return;
      closed = true;
      await held.disposeAsync();
    },
  };
  return model;
}

const LOAD_OPTIONS: OptionKinds<LoadOptions> = {
  precision: "text",
  device: "text",
  threads: "any",
  weightCopies: "text",
  sequences: "any",
  home: "text",
  allowControlTokens: "boolean",
  onProgress: "function",
  signal: "signal",
  now: "function",
};

function checkCount(name: "threads" | "sequences", count: number, most: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= most) return;
  throw new KvjudgeError(
    `Cannot run ${
      name === "threads" ? "on" : "with"
    } ${count} ${name}: '${name}' must be an integer from 1 to ${most}`,
    { options: [name] },
  );
}
