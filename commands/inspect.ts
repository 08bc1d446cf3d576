import { fields } from "./_table.ts";
import type { SoftTokens } from "../policies/policy.ts";
import type { SoftTokenCard } from "../runtime/soft_tokens/card.ts";
import { interruptible } from "./_interrupt.ts";
import { formatBytes, write } from "./_output.ts";
import { openProgress } from "./_progress.ts";
import { bareCommand, type Subcommand } from "./_subcommand.ts";

/** What is known of a file of soft tokens. */
interface Inspection {
  readonly source: string;
  readonly tokens: number;
  readonly hidden: number;
  /** Euclidean norms of the tokens. */
  readonly norms: { readonly min: number; readonly mean: number; readonly max: number };
  readonly adapters?: AdapterSummary;
  readonly fingerprint?: string;
  readonly identity?: string;
  readonly card: SoftTokenCard;
  /** The rest of the file's metadata. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly fit?: Fit;
}

interface AdapterSummary {
  readonly rank: number;
  readonly layers: number;
  readonly projections: readonly string[];
  readonly bytes: number;
}

/** Whether the tokens fit a model. */
interface Fit {
  readonly model: string;
  readonly fits: boolean;
  /** Why not. */
  readonly reason?: string;
  /** Norm of the model's own embeddings, root mean square. */
  readonly embeddingNorm: number;
}

/** `kvjudge inspect`: what a file holds, and what of it would run. */
export function inspectCommand(): Subcommand {
  return bareCommand().name("kvjudge inspect").description(
    "Shows what a model, a file of soft tokens or a saved cache holds, and what of it would run.",
  )
    .arguments("<file:string>")
    .option("-m, --model <model:string>", "Also say whether tokens or a cache fit this model.")
    .option("--json", "Print one JSON object.")
    .example("What runs of a file", "kvjudge inspect model.Q4_K_M.gguf")
    .example("Whether tokens fit a model", "kvjudge inspect soft.safetensors -m qwen3-0.6b")
    .action(({ model, json }, file) =>
      interruptible(async (signal) => {
        const { inspectSavedCache } = await import("./_inspect_saved_cache.ts");
        const cache = await inspectSavedCache(file, { model, json, signal });
        if (cache !== undefined) return write(cache);
        const checkpoint = await modelPath(file);
        if (checkpoint !== undefined) {
          const { inspectModel } = await import("../runtime/models/inspect_model.ts");
          const { showModel } = await import("./_inspect_model.ts");
          const found = await inspectModel(checkpoint);
          return write(
            json ? `${JSON.stringify({ kind: "model", ...found })}\n` : showModel(found),
          );
        }
        await requireThere(file);
        const inspection = await inspect(file, model, signal);
        write(json ? `${JSON.stringify(inspection)}\n` : show(inspection));
      })
    );
}

/** Where the model lies, if the source is one: a folder, a file of weights, or a fetched model. */
async function modelPath(source: string): Promise<string | undefined> {
  const found = await Deno.stat(source).catch(() => undefined);
  if (found === undefined) {
    return /\.safetensors$|^\w+:\/\//i.test(source) ? undefined : named(source);
  }
  if (found.isDirectory || source.endsWith(".gguf")) return source;
  if (!found.isFile) return undefined;
  if (await startOf(source) === "GGUF") return source;
  if (!source.endsWith(".safetensors")) return undefined;
  const { readSafetensors } = await import("../runtime/checkpoint/safetensors.ts");
  const { SOFT_TOKENS_TENSOR } = await import("../runtime/soft_tokens/read.ts");
  const { fileExists } = await import("../runtime/checkpoint/read_json.ts");
  const folder = source.replace(/[^/\\]*$/, "");
  // Alone it is no model, whatever it holds.
  return fileExists(`${folder}config.json`) &&
      !readSafetensors(source).tensors.has(SOFT_TOKENS_TENSOR)
    ? source
    : undefined;
}

async function named(name: string): Promise<string | undefined> {
  const { findModel } = await import("../runtime/models/find_model.ts");
  const { homeFolder } = await import("../runtime/models/home.ts");
  const { FetchError } = await import("../runtime/errors.ts");
  try {
    return (await findModel(homeFolder(), name, "inspect")).path;
  } catch (error) {
    // What is no model may be soft tokens, whose own error says what is wrong.
    if (error instanceof FetchError) return undefined;
    throw error;
  }
}

/**
 * Refuses what is nothing at all; an address is left to those who fetch it.
 *
 * @throws {PromptError} If there is no such file.
 */
async function requireThere(source: string): Promise<void> {
  if (/^\w+:\/\//.test(source)) return;
  if (await Deno.stat(source).then(() => true, () => false)) return;
  const { PromptError } = await import("../runtime/errors.ts");
  throw new PromptError(
    `Cannot inspect ${JSON.stringify(source)}: there is no such file or folder, and no model of ` +
      "that name was fetched; check the path, or see kvjudge models list",
  );
}

async function startOf(path: string): Promise<string> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(4);
  await file.read(bytes);
  return new TextDecoder().decode(bytes);
}

async function inspect(
  source: string,
  model: string | undefined,
  signal: AbortSignal,
): Promise<Inspection> {
  const { readSoftTokens } = await import("../runtime/soft_tokens/read.ts");
  const { parseCard, unknownMetadata } = await import("../runtime/soft_tokens/card.ts");
  const tokens = await readSoftTokens(source);
  const { count, hidden, adapters, fingerprint, identity, card = {} } = tokens;
  const fit = model === undefined ? undefined : await fitOf(tokens, model, signal);
  return {
    source,
    tokens: count,
    hidden,
    norms: normsOf(tokens),
    ...(adapters ? { adapters: await summariseAdapters(adapters) } : {}),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(identity === undefined ? {} : { identity }),
    card: parseCard(card),
    metadata: unknownMetadata(card),
    ...(fit ? { fit } : {}),
  };
}

function normsOf({ count, hidden, embeddings }: SoftTokens): Inspection["norms"] {
  const norms = Array.from({ length: count }, (_, token) => {
    const row = embeddings.subarray(token * hidden, (token + 1) * hidden);
    return Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
  });
  const mean = norms.reduce((sum, norm) => sum + norm, 0) / count;
  return { min: Math.min(...norms), mean, max: Math.max(...norms) };
}

async function summariseAdapters(
  { rank, tensors }: NonNullable<SoftTokens["adapters"]>,
): Promise<AdapterSummary> {
  const { parseAdapterName } = await import("../runtime/soft_tokens/adapters.ts");
  const names = Object.keys(tensors).map((name) => parseAdapterName(name));
  return {
    rank,
    layers: new Set(names.map(({ layer }) => layer)).size,
    projections: [...new Set(names.map(({ projection }) => projection))],
    bytes: Object.values(tensors).reduce((sum, { byteLength }) => sum + byteLength, 0),
  };
}

async function fitOf(tokens: SoftTokens, name: string, signal: AbortSignal): Promise<Fit> {
  const { resolveModel } = await import("../runtime/models/resolve_model.ts");
  const { openCheckpoint } = await import("../runtime/checkpoint/open.ts");
  const { homeFolder } = await import("../runtime/models/home.ts");
  const { modelFacts } = await import("../runtime/models/facts.ts");
  const { softTokensFor } = await import("../runtime/evidence/soft.ts");
  const { CheckpointError } = await import("../runtime/errors.ts");
  const home = homeFolder();
  using progress = await openProgress();
  const path = await resolveModel(name, { home, signal, onProgress: progress.fetching });
  progress.clear();
  const checkpoint = await openCheckpoint(path, { home });
  const facts = await modelFacts(checkpoint);
  const known = { model: name, embeddingNorm: facts.embeddingRms * Math.sqrt(facts.hidden) };
  try {
    await softTokensFor({ kind: "soft", tokens: () => tokens }, facts, checkpoint.config);
    return { ...known, fits: true };
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    return { ...known, fits: false, reason: error.message };
  }
}

function show(inspection: Inspection): string {
  const { source, tokens, hidden, norms, adapters, fit, card, metadata } = inspection;
  const { settings, hitRate, lossStart, lossEnd, ...texts } = card;
  const rows: [string, string | undefined][] = [
    ["norms", `${round(norms.min)} to ${round(norms.max)}, ${round(norms.mean)} on average`],
    ["adapters", adapters ? showAdapters(adapters) : "none"],
    ["model", texts.model],
    ["fingerprint", inspection.fingerprint],
    ["identity", inspection.identity],
    ["data hash", texts.dataHash],
    ["loss", showLoss(lossStart, lossEnd)],
    ["hit rate", hitRate && showRecord(hitRate)],
    ["created", texts.created],
    ["version", texts.version],
    ["command", texts.command],
    ["settings", settings && showRecord(settings)],
    ...Object.entries(metadata),
    ["fits", fit && showFit(fit)],
  ];
  const known = rows.flatMap(([name, value]) => value === undefined ? [] : [[name, value]]);
  return `${source}: ${tokens} soft tokens of size ${hidden}\n${fields(known)}`;
}

function showAdapters({ rank, layers, projections, bytes }: AdapterSummary): string {
  return `rank ${rank} on ${projections.join(", ")} of ${layers} layers, ${formatBytes(bytes)}`;
}

function showLoss(start: number | undefined, end: number | undefined): string | undefined {
  if (start === undefined && end === undefined) return undefined;
  return `${start ?? "unknown"} at the start, ${end ?? "unknown"} at the end`;
}

function showFit({ model, fits, reason, embeddingNorm }: Fit): string {
  const norm = `norm of its own embeddings: ${round(embeddingNorm)}`;
  return fits ? `${model} (${norm})` : `not ${model} (${norm}): ${reason}`;
}

function showRecord(record: Readonly<Record<string, unknown>>): string {
  return Object.entries(record)
    .map(([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}

function round(value: number): string {
  return value.toPrecision(3);
}
