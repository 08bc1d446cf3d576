import { fields, printable } from "./_table.ts";
import type { SavedCacheInfo } from "../runtime/session/saved/info.ts";
import { formatBytes } from "./_output.ts";
import { meanKept } from "./_session_summary.ts";

/**
 * What a saved cache holds, as text or as JSON.
 *
 * @param model Says whether it fits this model, if given.
 * @returns `undefined` if the file is no saved cache.
 * @throws {SavedCacheError} If it is one, and damaged.
 */
export async function inspectSavedCache(
  path: string,
  { model, json, signal }: {
    readonly model?: string | undefined;
    readonly json?: boolean | undefined;
    readonly signal: AbortSignal;
  },
): Promise<string | undefined> {
  const { isSavedCache, readSavedCacheInfo } = await import("../runtime/session/saved/file.ts");
  if (!isSavedCache(path)) return undefined;
  const info = readSavedCacheInfo(path);
  const fits = model === undefined
    ? undefined
    : await fingerprintOf(model, signal) === info.record.model.fingerprint;
  const { record: { model: made, policy, told, pending }, tokens, kept, bytes } = info;
  if (json) {
    const fit = fits === undefined ? {} : { fit: { model, fits } };
    const facts = { source: path, kind: "saved cache", bytes, tokens, kept, model: made, policy };
    return `${JSON.stringify({ ...facts, holds: told.kind, ...fit })}\n`;
  }
  const options = Object.keys(policy.options).length > 0
    ? ` ${JSON.stringify(policy.options)}`
    : "";
  const rows: [string, string][] = [
    ["size", formatBytes(bytes)],
    [
      "kept",
      `${meanKept({ ...info.record, kept })} of ${tokens} tokens on average, in ${
        layersOf(info)
      } of ` +
      `${kept[0]?.length} KV heads`,
    ],
    ["holds", holds(info)],
    [
      "policy",
      `${policy.name}${options}, budget ${JSON.stringify(policy.budget)}` +
      (policy.evicted ? "" : "; nothing was evicted"),
    ],
    ["model", made.name ?? "without a name"],
    ["fingerprint", made.fingerprint],
    ["pending", `${pending.length} tokens`],
  ];
  if (fits !== undefined) {
    rows.push(["fits", fits ? `${model}` : `not ${model}: another fingerprint`]);
  }
  return `${printable(path)}: a saved cache\n${fields(rows)}`;
}

function layersOf({ kept, record: { windows = [] } }: SavedCacheInfo): string {
  const globals = kept.filter((_, layer) => (windows[layer] ?? null) === null).length;
  const slide = kept.length - globals;
  if (slide === 0) return `${kept.length} layers`;
  return globals === 0
    ? `${kept.length} layers, which slide,`
    : `${globals} global layers (beside ${slide} that slide)`;
}

function holds({ record: { told, answer } }: SavedCacheInfo): string {
  if (told.kind === "document") return "a document, ready for questions";
  if (told.kind === "raw") return "text or token ids";
  const count = told.messages.length + (answer === undefined ? 0 : 1);
  return `a conversation of ${count} ${count === 1 ? "message" : "messages"}`;
}

async function fingerprintOf(name: string, signal: AbortSignal): Promise<string> {
  const { resolveModel } = await import("../runtime/models/resolve_model.ts");
  const { openCheckpoint } = await import("../runtime/checkpoint/open.ts");
  const { homeFolder } = await import("../runtime/models/home.ts");
  const home = homeFolder();
  const checkpoint = await openCheckpoint(await resolveModel(name, { home, signal }), { home });
  return await checkpoint.fingerprint();
}
